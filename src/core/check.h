// CHECK(condition): an invariant of ours, always on. A false one ends the process with the place
// and the words. Never for an error that input, disk or network can cause: those are Results.
#pragma once

namespace varve {
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);
}

#define CHECK(...) ((__VA_ARGS__) ? void() : ::varve::CheckFailed(#__VA_ARGS__, __FILE__, __LINE__))
