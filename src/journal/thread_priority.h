// What the scheduler should know of a thread. Failing to tell it costs speed only.
#pragma once

namespace varve::journal {

// For a thread that sleeps on the disk and on whose waking every client waits. On Linux 6.12 and
// later a busy machine otherwise lets it run only at the end of another thread's slice (3 to 4 ms):
// a short slice of its own lets it in at once. Needs no privilege.
void PreferWakeup();

// For a thread whose work can wait while others have some.
void PreferOthers();

}  // namespace varve::journal
