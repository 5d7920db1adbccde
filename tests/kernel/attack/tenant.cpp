// The tenant of a slot (ATTACKS.md S35), who does as the lines on stdin say:
//
//   leave     leaves something in every way there is, and a mark of 32 bytes in all of it
//   list      says all that it finds: variables, names, processes, sockets, IPC, traffic, and which
//             files have the mark
//   look      that, and whether any memory, file or block that is given to it has the mark
//   control   the same, with the mark put into each thing that is searched: all must be found
//
// The answer to each ends with "done". What is said of two tenants who have found the same is the
// same text.
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <sstream>

#include "attack.h"
#include "tenant.h"

namespace tare::attack {

namespace {

constexpr key_t kKey = 4711;
constexpr std::uint16_t kPort = 4711;

// ---- What is left

void leave_file(const Mark& mark, const std::string& path, bool must) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0 && !must) return;
  need(fd >= 0, "leave " + path);
  std::string text(64 * 1024, '\0');
  mark.fill(text.data(), text.size());
  need(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()), "write " + path);
  ::close(fd);
}

void leave_files(const Mark& mark) {
  for (const std::string folder : {"/tmp", "/var/tmp", "/home/agent", "/output", "/dev/shm"}) {
    leave_file(mark, folder + "/left", true);
    need(::mkdir((folder + "/left.d").c_str(), 0777) == 0, "make a folder");
    leave_file(mark, folder + "/left.d/.hidden", true);
    need(::symlink("/tmp/left", (folder + "/left.link").c_str()) == 0, "make a link");
    need(::mkfifo((folder + "/left.fifo").c_str(), 0666) == 0, "make a FIFO");
  }
  for (const std::string folder : {"", "/etc", "/root", "/run", "/opt", "/mnt", "/home", "/var"})
    leave_file(mark, folder + "/left", false);  // root inside may
}

void leave_ipc(const Mark& mark) {
  struct {
    long type = 1;
    char text[kMarkBytes];
  } message;
  mark.fill(message.text, sizeof message.text);
  for (key_t key = kKey; key < kKey + 3; ++key) {
    const int segment = ::shmget(key, kMiB, IPC_CREAT | 0600);
    need(segment >= 0, "shmget");
    mark.fill(::shmat(segment, nullptr, 0), kMiB);
    need(::semget(key, 1, IPC_CREAT | 0600) >= 0, "semget");
    const int queue = ::msgget(key, IPC_CREAT | 0600);
    need(::msgsnd(queue, &message, sizeof message.text, 0) == 0, "msgsnd");
  }
  // By its name, as Landlock lets root do that, and not mq_open.
  const mqd_t queue = ::open("/dev/mqueue/left", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  need(queue >= 0, "make a message queue");
  need(::mq_send(queue, message.text, sizeof message.text, 0) == 0, "mq_send");
  need(::sem_open("/left", O_CREAT, 0600, 1) != SEM_FAILED, "sem_open");
  const int shared = ::shm_open("/left.shm", O_RDWR | O_CREAT, 0600);
  need(shared >= 0 && ::ftruncate(shared, kMiB) == 0, "shm_open");
  mark.fill(::mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0), kMiB);
}

sockaddr_in local(std::uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  address.sin_port = ::htons(port);
  return address;
}

template <class Address>
const sockaddr* as_any(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

void leave_unix_socket(const std::string& path) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  need(::bind(fd, as_any(name), size) == 0 && ::listen(fd, 1) == 0, "listen");
}

void leave_sockets(const Mark& mark) {
  leave_unix_socket(std::string("\0left", 5));
  leave_unix_socket("/tmp/left.sock");
  const sockaddr_in name = local(kPort);
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  need(::bind(server, as_any(name), sizeof name) == 0 && ::listen(server, 8) == 0, "listen");
  for (int i = 0; i < 20; ++i) {  // who closes first is in TIME_WAIT
    const int one = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(::connect(one, as_any(name), sizeof name) == 0, "connect");
    const int other = ::accept(server, nullptr, nullptr);
    ::close(other);
    ::close(one);
  }
  const sockaddr_in datagrams = local(kPort + 1);
  const int receiver = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  need(::bind(receiver, as_any(datagrams), sizeof datagrams) == 0, "bind");
  std::array<char, 1024> text;
  mark.fill(text.data(), text.size());
  need(::sendto(receiver, text.data(), text.size(), 0, as_any(datagrams), sizeof datagrams) > 0,
       "sendto");
}

void leave_memory(const Mark& mark) {
  mark.fill(map_anonymous(96 * kMiB), 96 * kMiB);
  for (int i = 0; i < 4096; ++i) mark.fill(std::malloc(kPage), kPage);
  void* large = std::malloc(8 * kMiB);
  mark.fill(large, 8 * kMiB);
  std::free(large);
  int ends[2];
  need(::pipe(ends) == 0, "pipe");
  std::array<char, kPage> text;
  mark.fill(text.data(), text.size());
  for (int i = 0; i < 8; ++i) need(::write(ends[1], text.data(), text.size()) > 0, "fill a pipe");
}

// All that is left of the scratch space.
void leave_full_disk(const Mark& mark) {
  std::string block(kMiB, '\0');
  mark.fill(block.data(), block.size());
  const int fd = ::open("/tmp/left.full", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  while (::write(fd, block.data(), block.size()) > 0) {
  }
  need(errno == ENOSPC, "fill the scratch space");
  ::fsync(fd);
  off_t size = ::lseek(fd, 0, SEEK_END);
  need(::ftruncate(fd, size - static_cast<off_t>(4 * kMiB)) == 0, "truncate");
}

void leave(const Mark& mark) {
  leave_files(mark);
  leave_ipc(mark);
  leave_sockets(mark);
  leave_memory(mark);
  leave_full_disk(mark);
  if (::fork() == 0) {
    ::setsid();
    for (;;) ::pause();
  }
}

}  // namespace

int tenant(const std::string& hex) {
  const Mark mark(hex);
  std::istringstream ids(text_of("/proc/self/uid_map"));
  unsigned inside = 0;
  unsigned base = 0;
  ids >> inside >> base;
  std::printf("base %u\ndone\n", base);
  std::fflush(stdout);
  std::array<char, 64> line;
  while (std::fgets(line.data(), static_cast<int>(line.size()), stdin) != nullptr) {
    const std::string order(line.data(), std::strcspn(line.data(), "\n"));
    if (order == "leave") leave(mark);
    if (order == "list") list_all(mark);
    if (order == "look") look_at_all(mark, false);
    if (order == "control") look_at_all(mark, true);
    std::printf("done\n");
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace tare::attack
