// Bombs (ATTACKS.md S32): each takes what it names until it is refused, says by what, and goes on
// trying until somebody ends it; and the neighbour whose time is measured meanwhile.
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "attack.h"

namespace tare::attack {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPiece = 64 << 10;
char piece[kPiece];

void rest(long ms) {
  const timespec time = {ms / 1000, ms % 1000 * 1'000'000};
  ::nanosleep(&time, nullptr);
}

// `take` until it is refused; says how often it was not.
template <class Take>
void take_all(Take take) {
  long taken = 0;
  while (take(taken) >= 0) ++taken;
  std::printf("%ld, then %s\n", taken, ::strerrorname_np(errno));
  std::fflush(stdout);
  for (;; rest(1)) (void)take(taken++);
}

int fill(int fd) {
  long n = 0;
  while ((n = ::write(fd, piece, kPiece)) > 0) {
  }
  return errno == EAGAIN ? 0 : -1;
}

void* wait_for_ever(void*) {
  for (;;) ::pause();
}
void* burn_for_ever(void*) {
  for (;;) asm volatile("");
}

// ---- Processes and memory

void forks() {
  for (bool said = false;;) {
    if (::fork() >= 0) continue;
    if (!said) std::printf("fork: %s\n", ::strerrorname_np(errno));
    std::fflush(stdout);
    said = true;
    rest(1);
  }
}

int new_thread(void* (*work)(void*)) {
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, 64 << 10);
  pthread_t thread;
  errno = ::pthread_create(&thread, &attributes, work, nullptr);
  return errno == 0 ? 0 : -1;
}

void threads() {
  take_all([](long) { return new_thread(wait_for_ever); });
}
void burns() {
  take_all([](long n) { return n < 32 ? new_thread(burn_for_ever) : (rest(1), -1); });
}

void memory() {
  take_all([](long) {
    void* at = ::mmap(nullptr, kPiece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return -1;
    std::memset(at, 1, kPiece);
    return 0;
  });
}

void write_file(const char* path) {
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  take_all([fd](long) { return static_cast<int>(::write(fd, piece, kPiece)); });
}
void tmp() { write_file("/tmp/bomb"); }
void shm() { write_file("/dev/shm/bomb"); }
void output() { write_file("/output/bomb"); }

// Reads every file there is, again and again.
void read_all_below(const std::string& folder) {
  for (const std::string& name : names_in(folder)) {
    const std::string path = folder + "/" + name;
    struct stat status = {};
    if (::lstat(path.c_str(), &status) != 0) continue;
    if (S_ISDIR(status.st_mode)) read_all_below(path);
    if (!S_ISREG(status.st_mode)) continue;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    while (::read(fd, piece, kPiece) > 0) {
    }
    ::close(fd);
  }
}
void page_cache() {
  for (;;) read_all_below("/usr");
}

// Names that are not there: each leaves an entry in the kernel's cache of names.
void dentries() {
  for (long i = 0;; ++i) {
    char path[64];
    std::snprintf(path, sizeof path, "/tmp/no-such-file-%040ld", i);
    (void)::access(path, F_OK);
  }
}

// ---- Files and descriptors

void inodes() {
  take_all([](long n) { return ::mkdir(("/tmp/" + std::to_string(n)).c_str(), 0700); });
}
void files() {
  take_all([](long) { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); });
}
void pipes() {
  take_all([](long) {
    std::array<int, 2> ends = {};
    if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) return -1;
    (void)::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    return fill(ends[1]);
  });
}
void sockets() {
  take_all([](long) {
    std::array<int, 2> ends = {};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) != 0) return -1;
    for (const int end : ends) {
      const int size = 1 << 30;
      ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
      (void)fill(end);
    }
    return 0;
  });
}
void eventfds() {
  take_all([](long) { return ::eventfd(0, EFD_CLOEXEC); });
}
// Sets that watch sets: the kernel bounds the depth, and the number of paths.
void epoll_depth() {
  take_all([last = -1](long) mutable {
    const int fd = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event event = {EPOLLIN, {}};
    if (fd >= 0 && last >= 0 && ::epoll_ctl(fd, EPOLL_CTL_ADD, last, &event) != 0) return -1;
    return last = fd;
  });
}
// Each set watches each pipe.
void epolls() {
  std::vector<int> watched;
  for (int i = 0; i < 60; ++i) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) == 0) watched.insert(watched.end(), {ends[0], ends[1]});
  }
  take_all([&](long) {
    const int fd = ::epoll_create1(EPOLL_CLOEXEC);
    for (const int one : watched) {
      epoll_event event = {EPOLLIN | EPOLLOUT, {}};
      if (fd >= 0 && ::epoll_ctl(fd, EPOLL_CTL_ADD, one, &event) != 0) return -1;
    }
    return fd;
  });
}
// Of all that is shown of the host, again and again: not bounded by what one can make.
void watches() {
  std::vector<std::string> paths;
  std::error_code error;
  for (const char* folder : {"/usr/bin", "/usr/lib", "/usr/share"}) {
    for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
         at.increment(error))
      paths.push_back(at->path().string());
  }
  int fd = -1;
  take_all([&](long n) {
    const auto index = static_cast<std::size_t>(n) % paths.size();
    if (index == 0) fd = ::inotify_init1(IN_CLOEXEC);
    if (fd < 0) return -1;
    // One that may not be read (EACCES) is no end.
    const int watch = ::inotify_add_watch(fd, paths[index].c_str(), IN_ALL_EVENTS | IN_DONT_FOLLOW);
    return watch < 0 && errno == EACCES ? 0 : watch;
  });
}

// ---- What the kernel keeps for a user

void timers() {
  take_all([](long) {
    sigevent event = {};
    event.sigev_notify = SIGEV_NONE;
    timer_t timer = {};
    return ::timer_create(CLOCK_MONOTONIC, &event, &timer);
  });
}
void timerfds() {
  take_all([](long) {
    const int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    const itimerspec fast = {{0, 1}, {0, 1}};
    return fd < 0 ? fd : ::timerfd_settime(fd, 0, &fast, nullptr);
  });
}
void signals() {
  ::signal(SIGRTMIN, SIG_IGN);
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  take_all([](long n) {
    const sigval value = {.sival_int = static_cast<int>(n)};
    return ::sigqueue(::getpid(), SIGRTMIN + 1, value);
  });
}
void sysv_shm() {
  take_all([](long) {
    const int id = ::shmget(IPC_PRIVATE, kPiece, IPC_CREAT | 0600);
    if (id < 0) return -1;
    void* at = ::shmat(id, nullptr, 0);
    if (at == reinterpret_cast<void*>(-1)) return -1;
    std::memset(at, 1, kPiece);
    return ::shmdt(at);  // it stays
  });
}
void sysv_sem() {
  take_all([](long) { return ::semget(IPC_PRIVATE, 250, IPC_CREAT | 0600); });
}
void sysv_msg() {
  take_all([](long) {
    const int id = ::msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    if (id < 0) return -1;
    struct {
      long type = 1;
      char text[8000] = {};
    } message;
    while (::msgsnd(id, &message, sizeof message.text, IPC_NOWAIT) == 0) {
    }
    return errno == EAGAIN ? 0 : -1;
  });
}
void inotify_instances() {
  take_all([](long) { return ::inotify_init1(IN_CLOEXEC); });
}
void terminals() {
  take_all([](long) { return ::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC); });
}
void requests() {
  take_all([](long) {
    unsigned long context = 0;
    return static_cast<int>(::syscall(SYS_io_setup, 1024, &context));
  });
}
void huge_pages() {
  take_all([](long) {
    constexpr std::size_t kHuge = 2 << 20;
    void* at = ::mmap(nullptr, kHuge, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (at == MAP_FAILED) return -1;
    std::memset(at, 1, kHuge);
    return 0;
  });
}
void syncs() {
  const int fd = ::open("/usr/bin", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  std::printf("0, then nothing\n");
  std::fflush(stdout);
  for (;;) {
    ::sync();
    (void)::syncfs(fd);
  }
}
void mqueues() {
  take_all([](long n) {
    const std::string name = "/bomb-" + std::to_string(n);
    return static_cast<int>(::mq_open(name.c_str(), O_RDWR | O_CREAT, 0600, nullptr));
  });
}

// ---- Words

void say(int fd) {
  for (;;) (void)::write(fd, piece, kPiece);
}
void stdout_flood() { say(1); }
void stderr_flood() { say(2); }
void tiny_words() {
  for (;;) (void)::write(1, "x", 1);
}

const std::map<std::string, void (*)()> kBombs = {
    {"forks", forks},
    {"threads", threads},
    {"burns", burns},
    {"memory", memory},
    {"tmp", tmp},
    {"shm", shm},
    {"output", output},
    {"page_cache", page_cache},
    {"dentries", dentries},
    {"inodes", inodes},
    {"files", files},
    {"pipes", pipes},
    {"sockets", sockets},
    {"eventfds", eventfds},
    {"epolls", epolls},
    {"epoll_depth", epoll_depth},
    {"watches", watches},
    {"timers", timers},
    {"timerfds", timerfds},
    {"signals", signals},
    {"sysv_shm", sysv_shm},
    {"sysv_sem", sysv_sem},
    {"sysv_msg", sysv_msg},
    {"mqueues", mqueues},
    {"inotify_instances", inotify_instances},
    {"terminals", terminals},
    {"requests", requests},
    {"huge_pages", huge_pages},
    {"syncs", syncs},
    {"stdout", stdout_flood},
    {"stderr", stderr_flood},
    {"tiny_words", tiny_words},
};

}  // namespace

int bomb(const std::string& name) {
  const auto found = kBombs.find(name);
  if (found == kBombs.end()) return 64;
  std::memset(piece, 'x', kPiece);
  found->second();
  return 0;
}

}  // namespace tare::attack
