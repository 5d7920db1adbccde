// Runs a fuzz target without libFuzzer: every seed file as it is, then a bounded number of inputs
// made from the seeds by mutations of a fixed generator, so that every run tries the same bytes. A
// crash or a failed CHECK ends the process, after the input was written to a file that is named on
// stderr. So does, before any mutation, what the target says its seeds reach and they do not
// (reach.h).
//
//   fuzz_http SEED_FOLDER_OR_FILE...      TARE_FUZZ_ITERATIONS=20000 (default)
//
// For the ctest suite; `./dev fuzz` finds more. Single-threaded.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <unistd.h>

#include "reach.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t kInputBytesMax = 16 * 1024;
constexpr long kIterations = 20'000;
constexpr int kMutationsMax = 8;

const Input* g_current = nullptr;
char g_crash_path[64];

// Async-signal-safe: keeps the input that crashed, then lets the signal do what it would have done.
void on_crash(int signal) {
  if (std::FILE* file = g_current == nullptr ? nullptr : std::fopen(g_crash_path, "wb")) {
    std::fwrite(g_current->data(), 1, g_current->size(), file);
    std::fclose(file);
    std::fprintf(stderr, "input kept in %s\n", g_crash_path);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const Input& input) {
  g_current = &input;
  // An exact heap copy: a read past the end is seen by the sanitizers.
  const Input exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
  g_current = nullptr;
}

std::vector<Input> load(int argc, char** argv) {
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argc; ++i) {
    std::error_code error;
    if (std::filesystem::is_directory(argv[i], error)) {
      for (const auto& entry : std::filesystem::directory_iterator(argv[i]))
        paths.push_back(entry.path());
    } else if (std::filesystem::exists(argv[i], error)) {
      paths.emplace_back(argv[i]);
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Input> seeds;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return seeds;
}

bool all_reached() {
  bool all = true;
  for (const tare::fuzz::Reach* one : tare::fuzz::Reach::all()) {
    if (one->was_reached()) continue;
    std::fprintf(stderr, "no seed reaches: %s\n", one->what().c_str());
    all = false;
  }
  return all;
}

class Mutator {
 public:
  Mutator(const std::vector<Input>& seeds, std::uint32_t seed) : seeds_(seeds), random_(seed) {}

  Input next() {
    Input input = seeds_.empty() || below(16) == 0 ? noise() : seeds_[below(seeds_.size())];
    for (std::size_t n = 1 + below(kMutationsMax); n > 0; --n) mutate(input);
    if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
    return input;
  }

 private:
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }
  std::uint8_t byte() { return static_cast<std::uint8_t>(random_()); }

  Input noise() {
    Input input(below(256));
    for (auto& b : input) b = byte();
    return input;
  }

  void mutate(Input& input) {
    // Bytes that parsers care about: separators, quotes, ends of ranges.
    static constexpr char kTelling[] = "\0\n\r\t :;,.=\"'\\/[]{}()<>#%&+-_09azAZ~\x7f\x80\xff";
    const std::size_t at = below(input.size() + 1);
    const auto here = input.begin() + static_cast<std::ptrdiff_t>(at);
    const auto rest = input.size() - at;
    const auto some = static_cast<std::ptrdiff_t>(below(std::min<std::size_t>(rest, 64) + 1));
    switch (below(8)) {
      case 0:  // flip a bit
        if (rest > 0) *here ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1:  // overwrite
        if (rest > 0) *here = byte();
        break;
      case 2:  // put in a telling byte
        input.insert(here, static_cast<std::uint8_t>(kTelling[below(sizeof kTelling - 1)]));
        break;
      case 3:  // remove a stretch
        input.erase(here, here + some);
        break;
      case 4: {  // say a stretch twice
        const Input copy(here, here + some);
        input.insert(here, copy.begin(), copy.end());
        break;
      }
      case 5:  // cut off
        input.resize(at);
        break;
      case 6: {  // a stretch of another seed
        if (seeds_.empty()) break;
        const Input& other = seeds_[below(seeds_.size())];
        const std::size_t from = below(other.size() + 1);
        const std::size_t to = from + below(other.size() - from + 1);
        input.insert(here, other.begin() + static_cast<std::ptrdiff_t>(from),
                     other.begin() + static_cast<std::ptrdiff_t>(to));
        break;
      }
      default:  // a number at the edge of its range, little-endian
        for (std::size_t i = 0, width = std::size_t{1} << below(4); i < std::min(width, rest);
             ++i) {
          input[at + i] = below(2) == 0 ? 0x00 : 0xff;
        }
    }
  }

  const std::vector<Input>& seeds_;
  std::mt19937 random_;
};

}  // namespace

int main(int argc, char** argv) {
  std::snprintf(g_crash_path, sizeof g_crash_path, "/tmp/tare-fuzz-crash-%d", ::getpid());
  for (int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, on_crash);

  const std::vector<Input> seeds = load(argc, argv);
  run({});
  for (const Input& seed : seeds) run(seed);
  if (!all_reached()) return 1;

  const char* wanted = std::getenv("TARE_FUZZ_ITERATIONS");
  const long iterations = wanted == nullptr ? kIterations : std::atol(wanted);
  Mutator mutator(seeds, 20260101);
  for (long i = 0; i < iterations; ++i) run(mutator.next());
  std::printf("%zu seeds and %ld mutations: no crash\n", seeds.size(), iterations);
  return 0;
}
