// Temporary files and directories of processes that were killed: whoever uses one holds flock on
// it.
#pragma once

#include <functional>
#include <string>

namespace varve {

// Removes what is in the directory, is chosen by its path, and has been made for some time without
// being locked. What cannot be removed stays: it is tried again the next time.
void RemoveUnlocked(const std::string& directory,
                    const std::function<bool(const std::string& path)>& chosen);

}  // namespace varve
