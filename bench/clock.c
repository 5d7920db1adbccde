/* The program that claims are measured with: writes CLOCK_MONOTONIC in ns, read as its first act, to stdout. Static,
   so that nothing but execve lies before it. With the argument `wait` it waits for good instead: an idle sandbox. */
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char** argv) {
  while (argc > 1 && strcmp(argv[1], "wait") == 0) pause();
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  return write(1, &ns, sizeof ns) == sizeof ns ? 0 : 1;
}
