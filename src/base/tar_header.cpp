#include "base/tar_header.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/base64.h"
#include "base/check.h"
#include "base/text.h"

namespace tare {

namespace {

constexpr std::size_t kNameBytes = 100;
constexpr std::uint64_t kMaxOctalSize = (std::uint64_t{1} << 33) - 1;  // 11 digits
constexpr std::size_t kMaxPaxBytes = 64;                               // one record, of a size
constexpr char kPaxType = 'x';
constexpr std::size_t kChecksumAt = 148, kTypeAt = 156, kLinkAt = 157, kMagicAt = 257;

struct Field {
  std::size_t at, digits;
};
constexpr Field kMode{100, 7}, kUid{108, 7}, kGid{116, 7}, kSize{124, 11}, kMtime{136, 11};

void put_octal(std::string& block, Field field, std::uint64_t value) {
  for (std::size_t i = field.digits; i-- > 0; value >>= 3U)
    block[field.at + i] = static_cast<char>('0' + (value & 7U));
}

unsigned checksum(std::string_view block) {
  unsigned sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool own = i >= kChecksumAt && i < kChecksumAt + 8;
    sum += own ? static_cast<unsigned>(' ') : static_cast<unsigned char>(block[i]);
  }
  return sum;
}

// "23 path=some/long/name\n"; the length counts itself.
std::string record(std::string_view key, std::string_view value) {
  const std::string rest = " " + std::string(key) + "=" + std::string(value) + "\n";
  std::size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length)
    length = std::to_string(length).size() + rest.size();
  return std::to_string(length) + rest;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && c != '%' && c != '=') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
  }
  return out;
}

// Everybody reads SCHILY's spelling; a name with "=" has only libarchive's.
std::string xattr_record(const std::string& name, const std::string& value) {
  if (name.find('=') == std::string::npos) return record("SCHILY.xattr." + name, value);
  return record("LIBARCHIVE.xattr." + percent_encoded(name), base64_encode(value));
}

std::string pax_records(const TarHeader& header) {
  std::string records;
  if (header.name.size() > kNameBytes) records += record("path", header.name);
  if (header.link.size() > kNameBytes) records += record("linkpath", header.link);
  if (header.size > kMaxOctalSize) records += record("size", std::to_string(header.size));
  for (const auto& [name, value] : header.xattrs) records += xattr_record(name, value);
  return records;
}

std::string block_of(const TarHeader& header, char type) {
  std::string block(kTarBlockBytes, '\0');
  const std::string_view name = std::string_view(header.name).substr(0, kNameBytes);
  const std::string_view link = std::string_view(header.link).substr(0, kNameBytes);
  std::ranges::copy(name, block.begin());
  std::ranges::copy(link, block.begin() + kLinkAt);
  put_octal(block, kMode, header.mode);
  put_octal(block, kUid, header.uid);
  put_octal(block, kGid, header.gid);
  put_octal(block, kSize, header.size > kMaxOctalSize ? 0 : header.size);
  put_octal(block, kMtime, header.mtime_s);
  block[kTypeAt] = type;
  constexpr std::string_view kMagic("ustar\00000", 8);
  std::ranges::copy(kMagic, block.begin() + kMagicAt);
  put_octal(block, {kChecksumAt, 6}, checksum(block));
  block[kChecksumAt + 6] = '\0';
  block[kChecksumAt + 7] = ' ';
  return block;
}

Result<std::uint64_t> take_octal(std::string_view block, Field field) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < field.digits; ++i) {
    const char c = block[field.at + i];
    if (c < '0' || c > '7') return Error{Errc::invalid, "tar header: a number is not octal"};
    value = value * 8 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

// "19 size=8589934592\n" and nothing else.
Result<std::uint64_t> size_in(std::string_view records) {
  const std::size_t equals = std::min(records.find('='), records.size());
  std::uint64_t value = 0;
  const std::string_view digits = records.substr(std::min(equals + 1, records.size()));
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec != std::errc() || records != record("size", std::to_string(value)))
    return Error{Errc::invalid, "tar header: of a pax header only the size is understood"};
  return value;
}

}  // namespace

std::string tar_padding(std::uint64_t size) {
  return std::string((kTarBlockBytes - size % kTarBlockBytes) % kTarBlockBytes, '\0');
}

std::string tar_header(const TarHeader& header) {
  CHECK(header.uid < (1U << 21U) && header.gid < (1U << 21U) && header.mtime_s <= kMaxOctalSize);
  std::string out;
  const std::string records = pax_records(header);
  if (!records.empty()) {
    TarHeader pax;
    pax.name = "pax";
    pax.size = records.size();
    out = block_of(pax, kPaxType) + records + tar_padding(records.size());
  }
  return out + block_of(header, static_cast<char>(header.type));
}

Result<PlainTarHeads::Read> PlainTarHeads::take(std::string_view block) {
  CHECK(block.size() == kTarBlockBytes);
  return records_.size() < pax_bytes_ ? take_records(block) : take_first(block);
}

Result<PlainTarHeads::Read> PlainTarHeads::take_first(std::string_view block) {
  if (std::ranges::all_of(block, [](char c) { return c == '\0'; })) {
    if (size_) return Error{Errc::invalid, "tar header: the archive ends within an entry"};
    return Read::end;
  }
  if (TRY(take_octal(block, {kChecksumAt, 6})) != checksum(block))
    return Error{Errc::invalid, "tar header: its checksum is wrong"};
  const std::uint64_t size = TRY(take_octal(block, kSize));
  const char type = block[kTypeAt];
  if (type == kPaxType && !size_) {
    if (size == 0 || size > kMaxPaxBytes)
      return Error{Errc::invalid, "tar header: a pax header of another length than ours have"};
    pax_bytes_ = size;
    records_.clear();
    return Read::more;
  }
  header_ = TarHeader();
  const std::string_view name = block.substr(0, kNameBytes);
  header_.name = name.substr(0, std::min(name.find('\0'), name.size()));
  if (type != static_cast<char>(TarType::file) && type != static_cast<char>(TarType::folder))
    return Error{Errc::invalid, "tar header: " + quote(header_.name) + " is no file or folder"};
  header_.type = static_cast<TarType>(type);
  header_.size = size_ ? *std::exchange(size_, std::nullopt) : size;
  header_.mode = static_cast<std::uint32_t>(TRY(take_octal(block, kMode)));
  return Read::entry;
}

Result<PlainTarHeads::Read> PlainTarHeads::take_records(std::string_view block) {
  records_ += block.substr(0, pax_bytes_ - records_.size());
  if (records_.size() == pax_bytes_) size_ = TRY(size_in(records_));
  return Read::more;
}

}  // namespace tare
