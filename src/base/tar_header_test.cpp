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
  const auto read = parse_plain_tar_header(head);
  ASSERT_TRUE(read.ok() && read->has_value());
  EXPECT_EQ((*read)->name, "a/b");
  EXPECT_EQ((*read)->size, 5U);
  EXPECT_EQ((*read)->mode, 04755U);
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

TEST(TarHeader, only_plain_heads_are_read) {
  EXPECT_FALSE(parse_plain_tar_header(std::string(kTarBlockBytes, '\0')).value().has_value());
  TarHeader header;
  header.name = "x";
  std::string block = tar_header(header);
  block[0] = 'y';
  EXPECT_FALSE(parse_plain_tar_header(block).ok()) << "its checksum is wrong";
  header.type = TarType::symlink;
  header.link = "/etc/passwd";
  EXPECT_FALSE(parse_plain_tar_header(tar_header(header)).ok());
  EXPECT_FALSE(parse_plain_tar_header(std::string(kTarBlockBytes, '\xff')).ok());
}

}  // namespace
}  // namespace tare
