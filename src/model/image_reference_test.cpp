#include "model/image_reference.h"

#include <gtest/gtest.h>

#include "base/hash.h"

namespace tare::model {
namespace {

TEST(ImageReference, names_registry_image_and_version) {
  const auto read = parse_image_reference("registry.example:5000/team/app:1.2").value();
  EXPECT_EQ(read, (ImageReference{"registry.example:5000", "team/app", "1.2", ""}));
  EXPECT_EQ(read.text(), "registry.example:5000/team/app:1.2");
  EXPECT_EQ(read.version(), "1.2");
  EXPECT_EQ(parse_image_reference("localhost/a").value().tag, "latest");
  const std::string digest = sha256_text("x");
  const auto fixed = parse_image_reference("ghcr.io/a/b@" + digest).value();
  EXPECT_EQ(fixed.tag, "");
  EXPECT_EQ(fixed.version(), digest);
}

TEST(ImageReference, dockers_own_registry_has_another_address) {
  const auto read = parse_image_reference("docker.io/alpine").value();
  EXPECT_EQ(read.address(), "registry-1.docker.io");
  EXPECT_EQ(read.name, "library/alpine");
}

TEST(ImageReference, only_this_machine_is_loopback) {
  for (const char* text : {"localhost/a", "localhost:5000/a", "127.0.0.1:5000/a", "127.1.2.3/a"})
    EXPECT_TRUE(parse_image_reference(text).value().is_loopback()) << text;
  for (const char* text : {"127.example.com/a", "localhost.example/a", "10.0.0.1/a"})
    EXPECT_FALSE(parse_image_reference(text).value().is_loopback()) << text;
}

TEST(ImageReference, others_are_refused) {
  for (const char* text :
       {"",           "alpine",   "alpine:3",     "team/app",     "a.b/",           "a.b/A",
        "a.b/x:",     "a.b/x:-1", "a.b/x y",      "a.b/../x",     "a.b/x@sha256:1", "a.b/x?y=z",
        "user@a.b/x", "a.b:/x",   "a.b:123456/x", "http://a.b/x", "-a.b/x",         "a.b//x",
        "a.b/x/",     "a.b/x:t\n"})
    EXPECT_FALSE(parse_image_reference(text).ok()) << text;
}

}  // namespace
}  // namespace tare::model
