#pragma once

// What a process that mostly waits keeps in memory of its own executable and libraries.

namespace selvedge {

// Lets go of the pages of code and constants that are mapped at this moment, and of free memory of
// the heap. What is needed again is taken from the system's file cache, a few microseconds for each
// stretch; what only the start needed stays away. For processes that wait; safe while other threads
// run, load or unload libraries. Best effort: what the system does not do is not done.
void GiveBackUnusedMemory();

}  // namespace selvedge
