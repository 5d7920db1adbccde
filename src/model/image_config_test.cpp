#include "model/image_config.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "model/environment.h"

namespace tare::model {
namespace {

const std::vector<std::string> kLayers = {sha256_text("a"), sha256_text("b")};

TEST(ImageConfig, one_that_says_nothing_changes_no_digest) {
  EXPECT_TRUE(ImageConfig{}.empty());
  EXPECT_EQ(digest_of_environment({kLayers[0]}, {}), kLayers[0]);
  EXPECT_EQ(digest_of_environment(kLayers, {}), digest_of_layers(kLayers));
}

TEST(ImageConfig, its_digest_is_the_documented_one) {
  const ImageConfig config{.entrypoint = {"/bin/sh"},
                           .cmd = {"-c", "a\nb"},
                           .env = {"A=b"},
                           .user = "node",
                           .uid = 1234,
                           .gid = 55,
                           .workdir = "/srv"};
  const std::string text = "tare-environment 2\n" + kLayers[0] + "\n" + kLayers[1] + "\n" +
                           "entrypoint 7:/bin/sh\ncmd 2:-c\ncmd 3:a\nb\nenv 3:A=b\nuser 4:node\n"
                           "ids 1234:55\nworkdir 4:/srv\n";
  EXPECT_EQ(digest_of_environment(kLayers, config), sha256_text(text));
}

TEST(ImageConfig, two_that_differ_have_two_texts) {
  const ImageConfig all[] = {{.entrypoint = {"a", "b"}}, {.entrypoint = {"a"}, .cmd = {"b"}},
                             {.cmd = {"a", "b"}},        {.cmd = {"a b"}},
                             {.cmd = {"a\ncmd 1:b"}},    {.env = {"a=b"}},
                             {.user = "a", .uid = 1},    {.user = "a", .gid = 1},
                             {.workdir = "/a"}};
  for (const ImageConfig& one : all)
    for (const ImageConfig& other : all)
      EXPECT_EQ(canonical_text(one) == canonical_text(other), &one == &other);
}

TEST(ImageConfig, comes_back_from_json) {
  const ImageConfig config{.entrypoint = {"e"},
                           .cmd = {""},
                           .env = {"A="},
                           .user = "0",
                           .uid = 0,
                           .gid = 7,
                           .workdir = "/"};
  const Json json = to_json(config);
  EXPECT_EQ(read_image_config(Node(json)).value(), config);
  EXPECT_EQ(config.command(), (std::vector<std::string>{"e", ""}));
}

TEST(ImageConfig, its_user_is_who_runs_its_programs) {
  EXPECT_EQ((ImageConfig{.user = "x"}).sandbox_user(), "root");
  EXPECT_EQ((ImageConfig{.user = "x", .uid = 1000, .gid = 1000}).sandbox_user(), "agent");
  EXPECT_EQ((ImageConfig{.user = "x", .uid = 999, .gid = 5}).sandbox_user(), "999:5");
  EXPECT_EQ(ImageConfig{}.sandbox_user(), "");
}

TEST(ImageConfig, what_no_run_could_use_is_refused) {
  const ImageConfig bad[] = {{.entrypoint = {""}},
                             {.cmd = {std::string("a\0b", 3)}},
                             {.cmd = {"\xff"}},
                             {.env = {"A"}},
                             {.env = {"A=1", "A=2"}},
                             {.env = {"TARE_RUN=x"}},
                             {.user = "a", .uid = kMaxImageId + 1},
                             {.uid = 1},
                             {.workdir = "a"},
                             {.workdir = std::string("/a\0", 3)},
                             {.cmd = {std::string(kMaxImageConfigBytes, 'x')}}};
  for (const ImageConfig& one : bad)
    EXPECT_FALSE(check_image_config(one).ok()) << canonical_text(one).substr(0, 40);
}

}  // namespace
}  // namespace tare::model
