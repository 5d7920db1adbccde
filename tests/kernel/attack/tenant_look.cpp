// What the next tenant of a slot looks at (ATTACKS.md S35): see tenant.cpp.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "attack.h"
#include "tenant.h"

namespace tare::attack {

namespace {

class Look {
 public:
  Look(const Mark& mark, bool plant) : mark_(mark), plant_(plant) {}

  void list() {
    for (char** one = environ; *one != nullptr; ++one) std::printf("env %s\n", *one);
    names("/");
    tables();
  }

  void all() {
    list();
    memory();
    files();
    std::printf("looked at %zu MiB\n", looked_ / kMiB);
  }

 private:
  void say(const std::string& kind, bool found) const {
    std::printf("searched %s: %s\n", kind.c_str(), found ? "MARK" : "clean");
  }
  bool search(const void* memory, std::size_t size) {
    looked_ += size;
    return mark_.is_in(memory, size);
  }

  // New memory; a read alone would be given the page of zeros that all share.
  void fresh(const std::string& kind, void* memory, std::size_t size) {
    need(memory != MAP_FAILED && memory != nullptr, "allocate " + kind);
    auto* bytes = static_cast<char*>(memory);
    for (std::size_t at = 0; at < size; at += kPage) *const_cast<volatile char*>(bytes + at) = 1;
    if (plant_) mark_.fill(bytes + size / 2 + 3, kMarkBytes);
    say(kind, search(memory, size));
  }

  // Of everything but what is the host's or changes by itself: what it is and who owns it, and
  // whether a file has the mark.
  void names(const std::string& folder) {
    for (const std::string& name : names_in(folder)) {
      const std::string path = (folder == "/" ? "" : folder) + "/" + name;
      struct stat found = {};
      need(::lstat(path.c_str(), &found) == 0, "look at " + path);
      const bool file = S_ISREG(found.st_mode);
      std::printf("name %s mode %o of %u:%u size %lld\n", path.c_str(), found.st_mode, found.st_uid,
                  found.st_gid, file ? static_cast<long long>(found.st_size) : 0LL);
      if (file) search_file(path);
      if (S_ISDIR(found.st_mode) && path != "/proc" && path != "/usr") names(path);
    }
  }

  void search_file(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return;
    if (in_file(fd)) std::printf("MARK in %s\n", path.c_str());
    ::close(fd);
  }

  // The parts overlap, so that none hides a mark between two.
  bool in_file(int fd) {
    std::string part(kMiB, '\0');
    off_t at = 0;
    for (ssize_t n = 0; (n = ::pread(fd, part.data(), part.size(), at)) > 0;) {
      if (search(part.data(), static_cast<std::size_t>(n))) return true;
      if (static_cast<std::size_t>(n) < part.size()) break;
      at += n - static_cast<ssize_t>(kMarkBytes);
    }
    return false;
  }

  // Sockets, IPC, keys, locks and processes by their number; traffic by its counters.
  void tables() {
    for (const char* file :
         {"/proc/sysvipc/shm", "/proc/sysvipc/sem", "/proc/sysvipc/msg", "/proc/net/tcp",
          "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6", "/proc/net/udplite", "/proc/net/raw",
          "/proc/net/unix", "/proc/net/packet", "/proc/net/netlink", "/proc/net/route",
          "/proc/net/arp", "/proc/net/ip6_flowlabel", "/proc/locks", "/proc/keys",
          "/proc/key-users"}) {
      const std::string text = text_of(file);
      std::printf("lines of %s: %ld\n", file, std::count(text.begin(), text.end(), '\n'));
    }
    const std::vector<std::string> all = names_in("/proc");
    std::printf("processes: %ld\n", std::count_if(all.begin(), all.end(), is_number));
    std::printf("traffic of lo: %s", text_of("/proc/net/dev").c_str());
    std::istringstream counters(text_of("/proc/net/snmp"));
    for (std::string line; std::getline(counters, line);) {
      if (line.starts_with("Tcp:") || line.starts_with("Udp:"))
        std::printf("counted: %s\n", line.c_str());
    }
  }

  void memory() {
    constexpr std::size_t kMuch = 112 * kMiB;
    char* plain = map_anonymous(kMuch);
    fresh("new pages", plain, kMuch);
    ::munmap(plain, kMuch);
    char* huge = map_anonymous(16 * kMiB);
    (void)::madvise(huge, 16 * kMiB, MADV_HUGEPAGE);
    fresh("huge pages", huge, 16 * kMiB);
    ::munmap(huge, 16 * kMiB);
    constexpr int kUninitialised = 0x4000000;  // MAP_UNINITIALIZED
    void* wild = ::mmap(nullptr, 8 * kMiB, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | kUninitialised, -1, 0);
    fresh("pages that ask not to be cleared", wild, 8 * kMiB);
    ::munmap(wild, 8 * kMiB);
    void* shared = ::mmap(nullptr, 8 * kMiB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                          0);
    fresh("shared pages", shared, 8 * kMiB);
    ::munmap(shared, 8 * kMiB);
    void* block = std::malloc(8 * kMiB);
    fresh("a large malloc", block, 8 * kMiB);
    std::free(block);
    std::vector<void*> blocks;
    for (int i = 0; i < 4096; ++i) blocks.push_back(std::malloc(kPage - 64));
    if (plant_) mark_.fill(blocks[1000], kMarkBytes);
    say("small mallocs", std::any_of(blocks.begin(), blocks.end(),
                                     [this](void* one) { return search(one, kPage - 64); }));
    for (void* one : blocks) std::free(one);
    stack();
    const int segment = ::shmget(IPC_PRIVATE, 4 * kMiB, IPC_CREAT | 0600);
    void* attached = ::shmat(segment, nullptr, 0);
    fresh("a SysV segment", attached, 4 * kMiB);
    ::shmdt(attached);
    ::shmctl(segment, IPC_RMID, nullptr);
    const int memfd = ::memfd_create("look", MFD_CLOEXEC);
    file_pages("a memfd", memfd, 8 * kMiB);
    ::close(memfd);
    address_space();
  }

  [[gnu::noinline]] void stack() {
    char frame[4 * kMiB];  // never written
    fresh("the stack", frame, sizeof frame);
  }

  // All that this process has, whoever has put it there.
  void address_space() {
    char* planted = map_anonymous(kPage);
    if (plant_) mark_.fill(planted, kMarkBytes);
    bool found = false;
    std::istringstream maps(text_of("/proc/self/maps"));
    for (std::string line; std::getline(maps, line);) {
      char* next = nullptr;
      const std::size_t begin = std::strtoull(line.c_str(), &next, 16);
      const std::size_t end = std::strtoull(next + 1, &next, 16);
      const bool kernels = line.find("[v") != std::string::npos;  // vvar, vsyscall
      if (next[1] != 'r' || kernels) continue;
      found |= search(reinterpret_cast<const void*>(begin), end - begin);
    }
    say("all of its own memory", found);
    ::munmap(planted, kPage);
  }

  // What is in memory is quicker: of a new file that is nothing, whatever others have read.
  void say_what_is_in_memory(const std::string& kind, const char* when, int fd, std::size_t size) {
    void* pages = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    need(pages != MAP_FAILED, "map " + kind);
    std::vector<unsigned char> there(size / kPage);
    need(::mincore(pages, size, there.data()) == 0, "mincore");
    ::munmap(pages, size);
    const bool any = std::ranges::any_of(there, [](unsigned char one) { return (one & 1) != 0; });
    std::printf("pages in memory %s of %s: %s\n", when, kind.c_str(), any ? "some" : "none");
  }

  // A file's pages as they are, none of them written.
  void file_pages(const std::string& kind, int fd, std::size_t size) {
    need(fd >= 0 && ::ftruncate(fd, static_cast<off_t>(size)) == 0, "make " + kind);
    say_what_is_in_memory(kind, "at first", fd, size);
    void* pages = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(pages != MAP_FAILED, "map " + kind);
    if (plant_) mark_.fill(static_cast<char*>(pages) + size / 2, kMarkBytes);
    say(kind, search(pages, size));
    ::munmap(pages, size);
    say_what_is_in_memory(kind, "when read", fd, size);
  }

  static int deleted_file() {
    const int fd = ::open("/tmp/look", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    need(fd >= 0 && ::unlink("/tmp/look") == 0, "make a file");
    return fd;
  }

  void plant_in(int fd) {
    std::array<char, kMarkBytes> text;
    mark_.fill(text.data(), text.size());
    if (plant_) need(::pwrite(fd, text.data(), text.size(), 12345) > 0, "plant");
  }

  void files() {
    const int holes = deleted_file();
    file_pages("a deleted file of holes", holes, 8 * kMiB);
    ::close(holes);
    // Behind the end of a file its last page goes on.
    const int tail = deleted_file();
    need(::write(tail, "x", 1) == 1, "write");
    auto* page = static_cast<char*>(
        ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, tail, 0));
    need(page != MAP_FAILED, "map a page");
    if (plant_) mark_.fill(page + 100, kMarkBytes);
    say("the page behind a file's end", search(page, kPage));
    ::munmap(page, kPage);
    ::close(tail);
    // All blocks that there are, given but never written; then written in part.
    struct statvfs space = {};
    need(::statvfs("/tmp", &space) == 0, "statvfs");
    const auto most = static_cast<off_t>(space.f_bavail * space.f_frsize - 2 * kMiB);
    const int blocks = deleted_file();
    need(::fallocate(blocks, 0, 0, most) == 0, "fallocate");
    plant_in(blocks);
    say("all free blocks of the scratch space", in_file(blocks));
    need(::ftruncate(blocks, 0) == 0, "truncate");
    for (off_t at = 0; at < 8 * static_cast<off_t>(kMiB); at += 2 * static_cast<off_t>(kPage))
      need(::pwrite(blocks, "x", 1, at + 1000) == 1, "write");
    ::fsync(blocks);
    plant_in(blocks);
    say("blocks that are written in part", in_file(blocks));
    ::close(blocks);
  }

  const Mark& mark_;
  const bool plant_;
  std::size_t looked_ = 0;
};

}  // namespace

void list_all(const Mark& mark) { Look(mark, false).list(); }
void look_at_all(const Mark& mark, bool plant) { Look(mark, plant).all(); }

}  // namespace tare::attack
