#include "host/named_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tare::host {
namespace {

using testing::ElementsAre;

const std::string kBase = "sha256:" + std::string(64, '1');
const std::string kOwn = "sha256:" + std::string(64, '2');
const std::string kTmp = "sha256:" + std::string(64, '3');
const std::string kOld = "sha256:" + std::string(64, '4');
const std::string kNew = "sha256:" + std::string(64, '5');
const std::string kKept = "sha256:" + std::string(64, '6');
const std::string kGone = "sha256:" + std::string(64, '7');

void add_session(const std::string& id, NamedLayers& named, const runs::FlatByDigest& flat = {}) {
  LiveRun live;
  live.run.id = id;
  live.run.request.session = true;
  live.run.request.environment_digest = kBase;
  live.run.request.runner_digest = kOld;
  live.run.own = {{kOwn}, {kTmp}};
  live.run.checkpoint = {
      .at_ms = 1, .own = model::OwnLayers{{kKept}, {}}, .fault = {}, .replaced = {kGone}};
  live.runner = model::SessionRunner{"r@2", kNew, false, "r@1", kOld};
  add_layers_of(live, flat, named);
}

std::vector<std::string> owners_of(const NamedLayers& named, const std::string& digest) {
  std::vector<std::string> found;
  for (const Owner& owner : named.at(digest)) found.push_back(owner.text());
  return found;
}

TEST(NamedLayers, a_session_names_all_that_it_needs) {
  NamedLayers named;
  add_session("run_1", named);
  for (const std::string& digest : {kBase, kOwn, kTmp, kOld, kNew, kKept})
    EXPECT_THAT(owners_of(named, digest), ElementsAre("session run_1")) << digest;
  EXPECT_EQ(named.size(), 6U);
}

TEST(NamedLayers,
     a_session_names_what_is_or_was_mounted_for_its_environment_and_nothing_of_others) {
  const std::string flat = "sha256:" + std::string(64, 'a'),
                    older = "sha256:" + std::string(64, 'b'),
                    others = "sha256:" + std::string(64, 'c');
  NamedLayers named;
  add_session("run_1", named,
              {{kBase, {.of = {kBase}, .flat = {flat}, .older = {older}}},
               {kGone, {.of = {kGone}, .flat = {others}}}});
  for (const std::string& digest : {flat, older})
    EXPECT_THAT(owners_of(named, digest), ElementsAre("session run_1")) << digest;
  EXPECT_FALSE(named.contains(others));
}

TEST(NamedLayers, what_a_record_names_is_its_and_what_forks_share_is_all_of_theirs) {
  NamedLayers named = {{kBase, {{Owner::Kind::environment, "box"}}},
                       {kNew, {{Owner::Kind::runner, "r@2"}}}};
  for (const char* id : {"run_1", "run_2"}) add_session(id, named);
  EXPECT_THAT(owners_of(named, kBase), ElementsAre("environment box"));
  EXPECT_THAT(owners_of(named, kNew), ElementsAre("runner r@2"));
  for (const std::string& digest : {kOwn, kTmp, kOld})
    EXPECT_THAT(owners_of(named, digest), ElementsAre("session run_1", "session run_2"));
}

TEST(NamedLayers, a_run_on_the_host_names_nothing) {
  LiveRun live;
  live.run.id = "run_1";
  NamedLayers named;
  add_layers_of(live, {}, named);
  EXPECT_TRUE(named.empty());
}

TEST(NamedLayers, how_to_make_it_again_names_the_owner) {
  using enum Owner::Kind;
  for (const auto kind : {environment, runner, agent, session, run}) {
    const Owner owner{kind, "name-1"};
    EXPECT_THAT(how_to_make_again(owner), testing::HasSubstr("name-1"));
    EXPECT_THAT(owner.text(), testing::EndsWith(" name-1"));
  }
}

}  // namespace
}  // namespace tare::host
