// What tared (or root) and tare-store say to each other: fixed binary messages (base/wire.h) over a
// SOCK_SEQPACKET unix socket, descriptors beside them (SCM_RIGHTS). One message is one packet.
//
//   client                          store
//   Hello            ------------->          first, both ways; another version is refused with
//   Failed
//                    <-------------  Hello
//   ImportTar +2 fds ------------->          then one request at a time
//                    <-------------  Progress ...        any number, while it works
//                    <-------------  Imported | Failed   exactly one closing reply
//   ImportFiles +1 fd ------------>
//   FileChunk  +n fd ------------->  until `files` files have come
//                    <-------------  Imported | Failed
//
// Closing the connection cancels the request that is running; what it had made is removed. After a
// message that cannot be decoded or comes out of turn, and after an ImportFiles that failed (chunks
// may still be on their way), the store answers Failed and closes; after any other Failed the
// connection can be used again.
//
// Pure: encode and decode only. Units: bytes, milliseconds. Errors: Errc::invalid or exhausted,
// naming the field. Changing anything here means kProtocolVersion + 1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/image_config.h"
#include "snapshot/image/image_export.h"
#include "snapshot/image/image_import.h"
#include "snapshot/image/layout.h"
#include "snapshot/tar_import.h"
#include "snapshot/tree_writer.h"

namespace tare::snapshot {

inline constexpr std::uint32_t kProtocolMagic = 0x53455254;  // "TRES" on the wire
inline constexpr std::uint32_t kProtocolVersion = 11;

inline constexpr std::size_t
    kMaxFilesPerChunk = 64;  // as many as descriptors fit (sys/seqpacket.h)
inline constexpr std::size_t kMaxLayersPerPage = 512;
inline constexpr std::size_t kMaxFrozenLayers = 64;  // below a new one
inline constexpr std::size_t kMaxExportedLayers = 512;
inline constexpr std::size_t kMaxLeftOut = 64;            // paths in Freeze
inline constexpr std::size_t kMaxOpaqueBytes = 16 << 20;  // of the list beside it
inline constexpr std::size_t kMaxListedSkips = 64;  // names in Collected; the counts are complete
inline constexpr std::size_t kMaxSkippedPathBytes = 512;  // a longer one is cut
inline constexpr std::size_t kMaxListedStrays = 100;      // the count is complete
inline constexpr std::size_t kMaxStrayBytes = 512;
inline constexpr std::size_t kMaxFailureBytes = 4096;
inline constexpr std::uint64_t kMaxOpenedFileBytes = std::uint64_t{32} << 20;

struct Hello {
  std::uint32_t version = kProtocolVersion;
  std::string program;  // its version, for the log
  friend bool operator==(const Hello&, const Hello&) = default;
};

// ---- Requests ----

// "Secrets" below is a file with those that must not be in what is made (needles.h); empty for
// none.

// Two descriptors: a tar stream (tar_import.h), file or pipe; secrets.
struct ImportTar {
  TreeLimits limits;
  std::uint64_t timeout_ms = 0;  // for all of it; 1 or more
  friend bool operator==(const ImportTar&, const ImportTar&) = default;
};

// Two descriptors, as ImportTar; what lies in the stream may be an image of several layers
// (image/image_import.h).
struct ImportImage {
  ImageFormat format = ImageFormat::any;
  std::string platform = {};   // "linux/arm64"; "": this machine's
  std::string reference = {};  // name within the archive; "": any
  TreeLimits limits = {};
  std::uint64_t timeout_ms = 0;
  friend bool operator==(const ImportImage&, const ImportImage&) = default;
};

// One descriptor: where the archive goes, a file or pipe that blocks (image/image_export.h).
struct ExportImage {
  std::vector<std::string> layers = {};  // digests, lowest first
  ExportFormat format = ExportFormat::oci;
  model::ImageConfig config = {};
  std::string reference = {};  // its name in the archive; "" for none
  std::uint64_t timeout_ms = 0;
  friend bool operator==(const ExportImage&, const ExportImage&) = default;
};

// Files that were uploaded one by one, as a layer (files_import.h). One descriptor: secrets.
enum class FilesOf : std::uint8_t {
  agent,   // its own files, in /home/agent, owned by uid and gid 1000
  runner,  // the platform's, from the root on, owned by root
};
struct ImportFiles {
  std::uint32_t files = 0;  // how many will follow, in FileChunks; 1 or more
  FilesOf of = FilesOf::agent;
  friend bool operator==(const ImportFiles&, const ImportFiles&) = default;
};
struct FileItem {
  std::string path;        // below /home/agent, or the runner's folder; at most kMaxPathBytes
  std::uint32_t mode = 0;  // permission bits only
  friend bool operator==(const FileItem&, const FileItem&) = default;
};
// One descriptor a file, in the same order: regular files, read from their beginning.
struct FileChunk {
  std::vector<FileItem> files;
  friend bool operator==(const FileChunk&, const FileChunk&) = default;
};

// One descriptor: the sandbox's /output. Copied to runs/<run>/output (collect.h).
struct Collect {
  std::string run;
  std::uint32_t
      owner_base = 0;  // the ids the sandbox can own files with, as that descriptor shows them:
  std::uint32_t owner_count = 0;  // owner_base <= id < owner_base + owner_count
  TreeLimits limits;
  std::uint64_t timeout_ms = 0;
  friend bool operator==(const Collect&, const Collect&) = default;
};

struct VerifyLayer {
  std::string digest;
  friend bool operator==(const VerifyLayer&, const VerifyLayer&) = default;
};
struct StatLayer {
  std::string digest;
  friend bool operator==(const StatLayer&, const StatLayer&) = default;
};
// The caller says that nothing refers to it.
struct RemoveLayer {
  std::string digest;
  friend bool operator==(const RemoveLayer&, const RemoveLayer&) = default;
};
// Those after `after` ("" for the first page), by digest.
struct ListLayers {
  std::string after;
  friend bool operator==(const ListLayers&, const ListLayers&) = default;
};
// What lies in the store and is nothing of ours.
struct ListStrays {
  friend bool operator==(const ListStrays&, const ListStrays&) = default;
};
// runs/<run> with all that is in it; fine when it is not there.
struct RemoveRun {
  std::string run;
  friend bool operator==(const RemoveRun&, const RemoveRun&) = default;
};

// Three descriptors: the upper of a sandbox that stands still, a file with the paths of its opaque
// folders, each with a NUL behind it, and secrets; with `over_base` a fourth, the tree that lies
// below the layers. Becomes a layer above `layers` (freeze.h). A Progress that says `hashing` comes
// as soon as the upper is copied.
struct Freeze {
  std::vector<std::string> layers = {};  // digests, lowest first: what the sandbox stands on
  std::uint32_t owner_base = 0, owner_count = 0;  // as in Collect
  std::vector<std::string> without = {};          // paths that are not kept, nor what is below
  std::vector<std::string> only = {};  // unless empty: nothing but these, with what is below
  bool over_base = false;
  // A layer that was made of the same upper before; "": none, and one that is not there is none.
  // Files that are the same in it are linked and not copied.
  std::string since = {};
  TreeLimits limits = {};
  std::uint64_t timeout_ms = 0;
  friend bool operator==(const Freeze&, const Freeze&) = default;
};

// Its manifest: a descriptor to read it from comes beside Opened.
struct OpenManifest {
  std::string digest;
  friend bool operator==(const OpenManifest&, const OpenManifest&) = default;
};
// One regular file of a layer, up to kMaxOpenedFileBytes: a sealed copy of it comes beside Opened
// (a file of the layer itself could be opened again for writing, if its mode says so).
struct OpenFile {
  std::string digest;
  std::string path;  // as in the manifest; no link is followed
  friend bool operator==(const OpenFile&, const OpenFile&) = default;
};

// What lies above the lowest `kept` of `layers` as one layer (flatten.h), without these paths. With
// `over_base` a descriptor: the tree that lies below the layers. With `only_digest` nothing is
// made: the answer has the digest that it would have, and there may be kMaxExportedLayers.
struct Flatten {
  std::vector<std::string> layers = {};  // digests, lowest first
  std::uint32_t kept = 0;                // fewer than there are layers
  TreeLimits limits = {};
  std::uint64_t timeout_ms = 0;
  std::vector<std::string> without = {};  // with what is below
  bool over_base = false;
  bool only_digest = false;
  friend bool operator==(const Flatten&, const Flatten&) = default;
};

// One descriptor: secrets. Refused (Errc::conflict) when one is in these layers or what is said of
// their programs, naming the place; each layer is read once for a set of secrets (layer_mark.h).
struct SearchLayers {
  std::vector<std::string> layers = {};  // digests, lowest first
  model::ImageConfig config = {};
  bool anew = false;  // read, whatever is remembered
  std::uint64_t timeout_ms = 0;
  friend bool operator==(const SearchLayers&, const SearchLayers&) = default;
};

using Request = std::variant<Hello, ImportTar, ImportFiles, FileChunk, Collect, VerifyLayer,
                             StatLayer, RemoveLayer, ListLayers, RemoveRun, Freeze, OpenManifest,
                             OpenFile, Flatten, ImportImage, ExportImage, ListStrays, SearchLayers>;

// ---- Replies ----

struct Progress {
  std::uint64_t entries = 0, bytes = 0;  // so far
  bool hashing = false;                  // false: unpacking or copying; true: computing the digest
  friend bool operator==(const Progress&, const Progress&) = default;
};
struct LayerInfo {
  std::string digest;
  std::uint64_t entries = 0, bytes = 0;
  friend bool operator==(const LayerInfo&, const LayerInfo&) = default;
};
struct Imported {
  LayerInfo layer;
  bool reused = false;  // an identical layer was there already
  TarCounts dropped;
  // Of a Freeze with `only`: folders on the way to one of those that are none any more. What lower
  // layers have there is not hidden by this one.
  std::vector<std::string> cut = {};
  friend bool operator==(const Imported&, const Imported&) = default;
};

struct ImageImported {
  std::vector<LayerInfo> layers = {};  // lowest first, each once
  ImageKind kind = ImageKind::tree;
  model::ImageConfig config = {};
  TarCounts dropped = {};
  friend bool operator==(const ImageImported&, const ImageImported&) = default;
};

enum class SkipReason : std::uint8_t {
  special,     // device, FIFO or socket
  too_large,   // one file's length, or what was left of the bytes
  too_many,    // no entries left: the walk ended here
  bad_name,    // a path longer or deeper than allowed
  foreign,     // owned by an id that is not the sandbox's
  unreadable,  // the kernel refused; another file system
};
std::string_view to_string(SkipReason reason);
inline constexpr std::size_t kSkipReasons = 6;

struct Skip {
  SkipReason reason = SkipReason::special;
  std::string path;  // bytes from the sandbox
  friend bool operator==(const Skip&, const Skip&) = default;
};
struct Collected {
  std::uint64_t files = 0, folders = 0, links = 0;  // links: symlinks and further names of a file
  std::uint64_t bytes = 0;                          // data copied, holes not counted
  std::uint64_t skipped[kSkipReasons] = {};         // by SkipReason
  std::vector<Skip> skips;                          // the first of them
  std::uint64_t skipped_in_all() const;
  friend bool operator==(const Collected&, const Collected&) = default;
};
struct Verified {
  bool intact = false;
  std::string difference;  // the first, in words; empty when intact
  friend bool operator==(const Verified&, const Verified&) = default;
};
struct LayerPage {
  std::vector<LayerInfo> layers;
  bool more = false;
  friend bool operator==(const LayerPage&, const LayerPage&) = default;
};
struct Strays {
  std::vector<std::string> paths;  // below store/; bytes. The first of them
  std::uint64_t total = 0;
  friend bool operator==(const Strays&, const Strays&) = default;
};
// One descriptor beside it, read-only, at its beginning.
struct Opened {
  std::uint64_t size = 0;
  friend bool operator==(const Opened&, const Opened&) = default;
};
struct Exported {
  std::uint64_t bytes = 0;  // of the archive
  std::string digest;       // of the image's manifest; of a plain tar: of the archive
  friend bool operator==(const Exported&, const Exported&) = default;
};
struct Done {
  friend bool operator==(const Done&, const Done&) = default;
};
struct Failed {
  Errc code = Errc::internal;
  std::string message;
  std::int32_t sys = 0;
  friend bool operator==(const Failed&, const Failed&) = default;
};
Failed failed(const Error& error);
Error error_of(const Failed& failed);

using Reply = std::variant<Hello, Progress, Imported, Collected, Verified, LayerInfo, LayerPage,
                           Done, Failed, Opened, ImageImported, Exported, Strays>;

// ---- Encoding ----

Result<std::string> encode(const Request& request);
Result<std::string> encode(const Reply& reply);
Result<Request> decode_request(std::string_view message);
Result<Reply> decode_reply(std::string_view message);

// How many descriptors come beside a message: exactly so many, or it is refused.
std::size_t descriptors_of(const Request& request);
std::size_t descriptors_of(const Reply& reply);

}  // namespace tare::snapshot
