#include "base/tar_header.h"

#include <gtest/gtest.h>

namespace tare {
namespace {

TEST(TarHeader, is_ustar_where_that_has_room) {
  TarHeader header;
  header.name = "a/b";
  header.mode = 04755;
  header.uid = 1000;
  header.size = 5;
  header.mtime_s = 1'700'000'000;
  const std::string head = tar_header(header);
  ASSERT_EQ(head.size(), kTarBlockBytes);
  EXPECT_EQ(head.substr(0, 4), std::string("a/b\0", 4));
  EXPECT_EQ(head.substr(100, 8), std::string("0004755\0", 8));
  EXPECT_EQ(head.substr(124, 12), std::string("00000000005\0", 12));
  EXPECT_EQ(head.substr(257, 8), std::string("ustar\00000", 8));
  PlainTarHeads heads;
  ASSERT_EQ(heads.take(head).value(), PlainTarHeads::Read::entry);
  EXPECT_EQ(heads.header().name, "a/b");
  EXPECT_EQ(heads.header().size, 5U);
  EXPECT_EQ(heads.header().mode, 04755U);
}

TEST(TarHeader, what_ustar_cannot_hold_is_in_a_pax_header_in_front) {
  TarHeader header;
  header.name = std::string(101, 'n');
  header.size = std::uint64_t{1} << 33;
  header.xattrs = {{"user.a", std::string("b\0c", 3)}, {"user.=", "d"}};
  const std::string head = tar_header(header);
  ASSERT_EQ(head.size(), 3 * kTarBlockBytes);
  EXPECT_EQ(head[156], 'x');
  const std::string records = head.substr(kTarBlockBytes, kTarBlockBytes);
  EXPECT_NE(records.find("111 path=" + header.name + "\n"), std::string::npos);
  EXPECT_NE(records.find("19 size=8589934592\n"), std::string::npos);
  EXPECT_NE(records.find(" SCHILY.xattr.user.a=b"), std::string::npos);
  EXPECT_NE(records.find("LIBARCHIVE.xattr.user.%3D="), std::string::npos);
}

TEST(TarHeader, padding_fills_the_last_block) {
  EXPECT_EQ(tar_padding(0).size(), 0U);
  EXPECT_EQ(tar_padding(1).size(), 511U);
  EXPECT_EQ(tar_padding(512).size(), 0U);
  EXPECT_EQ(tar_padding(513).size(), 511U);
}

using Read = PlainTarHeads::Read;

// The heads one after another; "" and the last state, or the error.
std::string fault_of(std::string_view blocks) {
  PlainTarHeads heads;
  for (; !blocks.empty(); blocks.remove_prefix(kTarBlockBytes)) {
    const auto read = heads.take(blocks.substr(0, kTarBlockBytes));
    if (!read) return read.error().message;
  }
  return "";
}

TEST(TarHeader, the_size_of_a_very_long_file_is_read_back) {
  for (const std::uint64_t size : {(std::uint64_t{1} << 33) - 1, std::uint64_t{1} << 33,
                                   std::uint64_t{40} << 30, ~std::uint64_t{0}}) {
    TarHeader header;
    header.name = "blobs/sha256/x";
    header.size = size;
    const std::string blocks = tar_header(header);
    PlainTarHeads heads;
    Read last = Read::more;
    for (std::size_t at = 0; at < blocks.size(); at += kTarBlockBytes) {
      EXPECT_EQ(last, Read::more);
      last = heads.take(std::string_view(blocks).substr(at, kTarBlockBytes)).value();
    }
    EXPECT_EQ(last, Read::entry);
    EXPECT_EQ(heads.header().size, size);
    EXPECT_EQ(heads.header().name, "blobs/sha256/x");
    header.size = 7;  // the size of one entry says nothing of the next
    EXPECT_EQ(heads.take(tar_header(header)).value(), Read::entry);
    EXPECT_EQ(heads.header().size, 7U);
    EXPECT_EQ(heads.take(std::string(kTarBlockBytes, '\0')).value(), Read::end);
  }
}

TEST(TarHeader, only_plain_heads_are_read) {
  TarHeader header;
  header.name = "x";
  EXPECT_EQ(fault_of(tar_header(header)), "");
  std::string block = tar_header(header);
  block[0] = 'y';
  EXPECT_NE(fault_of(block), "") << "its checksum is wrong";
  header.type = TarType::symlink;
  header.link = "/etc/passwd";
  EXPECT_NE(fault_of(tar_header(header)), "");
  EXPECT_NE(fault_of(std::string(kTarBlockBytes, '\xff')), "");
}

TEST(TarHeader, of_pax_headers_only_a_size_is_read) {
  TarHeader header;
  header.name = "x";
  header.size = std::uint64_t{1} << 33;
  const std::string good = tar_header(header);
  ASSERT_EQ(fault_of(good), "");
  EXPECT_NE(fault_of(good.substr(0, 2 * kTarBlockBytes) + good), "") << "one after another";
  EXPECT_NE(fault_of(good.substr(0, 2 * kTarBlockBytes) + std::string(kTarBlockBytes, '\0')), "");
  for (const char* records :
       {"19 size=8589934593\0", "18 size=8589934592\n", "19 sizf=8589934592\n",
        "19 size=-589934592\n", "19 size=99999999999999999999"}) {
    std::string other = good;
    other.replace(kTarBlockBytes, 19, std::string(records, 19));
    EXPECT_NE(fault_of(other), "") << records;
  }
  header.name = std::string(101, 'n');
  EXPECT_NE(fault_of(tar_header(header)), "");
  header.name = "x";
  header.xattrs = {{"user.a", "b"}};
  EXPECT_NE(fault_of(tar_header(header)), "");
}

}  // namespace
}  // namespace tare
