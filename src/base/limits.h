// Every system-wide limit, in one place, with its unit. Reaching one is Errc::exhausted, or
// Errc::invalid where the input itself is at fault; the message names the limit. What one run may
// use is model/limits.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tare {

// HTTP.
inline constexpr std::size_t kMaxRequestHeaderBytes = std::size_t{16} << 10;
inline constexpr std::size_t kMaxJsonBodyBytes = std::size_t{1} << 20;
inline constexpr std::uint64_t kMaxUploadBytes = std::uint64_t{4} << 30;  // one input or agent file
inline constexpr std::size_t kMaxConnections = 1024;
inline constexpr std::uint64_t kHttpIdleTimeoutMs = 60'000;

// JSON and TOML.
// No count, size or time in our JSON is larger: JavaScript keeps integers up to this one apart.
inline constexpr std::uint64_t kMaxCount = (std::uint64_t{1} << 53) - 1;
inline constexpr std::size_t kMaxJsonDepth = 32;
inline constexpr std::size_t kMaxTomlBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxTomlDepth = 16;

// What a program is started with. Linux itself refuses a single argument above 128 KiB.
inline constexpr std::size_t kMaxArgs = 1024;
inline constexpr std::size_t kMaxArgBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxArgvBytes = std::size_t{256}
                                             << 10;  // all arguments with their NULs
inline constexpr std::size_t kMaxEnv = 256;
inline constexpr std::size_t kMaxEnvNameBytes = 256;
inline constexpr std::size_t kMaxEnvBytes = std::size_t{256}
                                            << 10;  // all variables with their NULs
inline constexpr std::size_t kMaxHostnameBytes = 64;

// Files given to a run, and shipped with an agent.
inline constexpr std::size_t kMaxPathBytes = 1024;  // of one relative path
inline constexpr std::size_t kMaxPathComponents = 32;
inline constexpr std::size_t kMaxPathComponentBytes = 255;
inline constexpr std::size_t kMaxInputFiles = 1024;
inline constexpr std::size_t kMaxAgentFiles = 4096;
inline constexpr std::uint64_t kMaxAgentFilesBytes = std::uint64_t{1} << 30;
inline constexpr std::size_t kMaxOutputFiles = 16'384;

// Environments.
inline constexpr std::size_t kMaxLayers = 64;
inline constexpr std::size_t kMaxPackages = 512;
inline constexpr std::size_t kMaxEnvironmentTextBytes = std::size_t{32} << 10;

// Runs.
inline constexpr std::uint64_t kKeptLogBytes = std::uint64_t{64}
                                               << 20;  // both streams of a run together
inline constexpr std::size_t kMaxLiveRuns = 1024;
inline constexpr std::size_t kMaxQueuedRuns = 100'000;
inline constexpr std::size_t kMaxListedRuns = 1000;  // one page of a listing
inline constexpr std::size_t kMaxIdempotencyKeyBytes = 255;
inline constexpr std::size_t kMaxDescriptionBytes = 4096;
inline constexpr std::size_t kMaxMessageBytes = 4096;  // the one line that says how a run ended

// Our own log: one field's text; longer ones are cut and marked.
inline constexpr std::size_t kMaxLogTextBytes = 4096;

}  // namespace tare
