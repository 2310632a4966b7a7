// Loaded into a program by LD_PRELOAD: for it, the wall clock began when it started, at the start
// of 1970, as on a device without a clock of its own. All else about time is as it is.

#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace {

timespec Real() {
  timespec now{};
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return now;
}

timespec Since1970() {
  static const timespec start = Real();
  timespec now = Real();
  now.tv_sec -= start.tv_sec;
  return now;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) {
    return static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  }
  *time = Since1970();
  return 0;
}

int gettimeofday(timeval* time, void*) noexcept {
  const timespec now = Since1970();
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* out) noexcept {
  const time_t now = Since1970().tv_sec;
  if (out != nullptr) *out = now;
  return now;
}

}  // extern "C"
