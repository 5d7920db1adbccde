#include "sandbox/doctor/report.h"

#include <gtest/gtest.h>

#include <set>

#include "base/json.h"
#include "sys/files.h"

namespace tare::sandbox {
namespace {

Result<std::string> perform_nothing(const Host&) { return std::string(); }

constexpr Check kNeeded = {"needed", &perform_nothing, "no run", "install it"};
constexpr Check kOptional = {"optional", &perform_nothing, "slower", "buy it", Need::never};

Json first_of(const Finding& finding) {
  auto json = parse_json(render({finding}));
  EXPECT_TRUE(json) << json.error().message;
  return json->at("checks").at(0);
}

TEST(DoctorReport, what_works_has_a_detail_and_neither_consequence_nor_fix) {
  EXPECT_EQ(to_text(first_of({&kNeeded, true, "fine"})),
            R"({"name":"needed","ok":true,"warning":false,"detail":"fine",)"
            R"("consequence":"","fix":""})");
}

TEST(DoctorReport, what_is_missing_says_what_follows_and_how_to_fix_it) {
  EXPECT_EQ(to_text(first_of({&kNeeded, false, "absent"})),
            R"({"name":"needed","ok":false,"warning":false,"detail":"absent",)"
            R"("consequence":"no run","fix":"install it"})");
}

TEST(DoctorReport, what_is_missing_and_not_required_is_a_warning) {
  const Finding finding = {&kOptional, false, "absent"};
  EXPECT_EQ(to_text(first_of(finding)),
            R"({"name":"optional","ok":true,"warning":true,"detail":"absent",)"
            R"("consequence":"slower","fix":"buy it"})");
  EXPECT_TRUE(all_ok({finding, {&kNeeded, true, ""}}));
  EXPECT_FALSE(all_ok({finding, {&kNeeded, false, ""}}));
}

TEST(DoctorReport, what_fails_for_the_reason_of_another_names_that_one) {
  constexpr Check kRoot = {"root", &check_root, "no run", "be root"};
  constexpr Check kMount = {"mount", &check_mount_namespace, "no run", "move it"};
  const Finding root = {&kRoot, false, "uid 7"}, mount = {&kMount, false, "not permitted"};
  EXPECT_EQ(cause_of(mount, {root}, true), "root");
  EXPECT_EQ(cause_of(mount, {root}, false), "");
  EXPECT_EQ(cause_of(mount, {{&kRoot, true, "uid 0"}}, true), "");
  EXPECT_EQ(cause_of({&kNeeded, false, "absent"}, {root, {&kOptional, false, "absent"}}, true),
            "optional");
  EXPECT_EQ(cause_of({&kNeeded, false, "absent"},
                     {root, {&kOptional, false, "absent", false, "root"}}, true),
            "root");
  EXPECT_EQ(cause_of({&kNeeded, true, "absent"}, {{&kOptional, false, "absent"}}, true), "");
  EXPECT_EQ(cause_of({&kNeeded, false, "absent"}, {root}, true), "");
  Finding following = mount;
  following.follows = "root";
  EXPECT_EQ(first_of(following).at("follows").as_string(), "root");
}

TEST(DoctorReport, what_only_root_can_have_is_not_required_without_it) {
  constexpr Check kOfRoot = {"root's", &perform_nothing, "no image", "be root", Need::with_root};
  EXPECT_FALSE(all_ok({{&kOfRoot, false, "absent"}}));
  EXPECT_TRUE(all_ok({{&kOfRoot, false, "absent", true}}));
}

TEST(DoctorReport, any_bytes_of_a_detail_are_valid_json_and_bounded) {
  std::string bytes;
  for (int c = 0; c < 256; ++c) bytes += static_cast<char>(c);
  EXPECT_TRUE(first_of({&kNeeded, true, bytes}).at("detail").is_string());
  const Json cut = first_of({&kNeeded, true, std::string(1 << 20, 'x')});
  EXPECT_EQ(cut.at("detail").as_string().size(), kMaxFindingBytes + 3);
}

TEST(DoctorReport, no_findings_are_an_empty_list) { EXPECT_EQ(render({}), "{\"checks\":[]}\n"); }

TEST(DoctorTable, every_row_is_complete_and_has_a_name_of_its_own) {
  std::set<std::string_view> names;
  for (const Check& check : checks()) {
    EXPECT_TRUE(names.insert(check.name).second) << check.name;
    EXPECT_NE(check.perform, nullptr) << check.name;
    EXPECT_FALSE(check.consequence.empty()) << check.name;
    EXPECT_FALSE(check.fix.empty()) << check.name;
  }
  EXPECT_GE(names.size(), 25U);
}

TEST(DoctorTable, the_page_for_people_has_every_row_in_this_order) {
  const std::string page = sys::read_file_at(sys::kCwd, TARE_SOURCE_DIR "/docs/doctor.md")
                               .value_or("");
  std::size_t at = 0;
  for (const Check& check : checks()) {
    at = page.find("\n| " + std::string(check.name) + " |", at);
    ASSERT_NE(at, std::string::npos) << check.name;
  }
}

}  // namespace
}  // namespace tare::sandbox
