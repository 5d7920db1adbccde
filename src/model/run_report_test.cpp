#include "model/run_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tare::model {
namespace {

using testing::HasSubstr;

RunReport read(std::string_view bytes, std::size_t piece = 1'000'000) {
  ReportReader reader;
  for (std::size_t at = 0; at < bytes.size(); at += piece) reader.take(bytes.substr(at, piece));
  reader.finish();
  return reader.report();
}

constexpr std::string_view kAll =
    "{\"type\":\"progress\",\"fraction\":0,\"message\":\"begin\"}\n"
    "{\"type\":\"progress\",\"fraction\":0.5,\"message\":\"half\"}\n"
    "{\"type\":\"artifact\",\"name\":\"a/b.txt\",\"media_type\":\"text/plain\"}\n"
    "{\"type\":\"artifact\",\"name\":\"c\"}\n"
    "{\"type\":\"artifact\",\"name\":\"c\",\"media_type\":\"x\"}\n"
    "{\"type\":\"result\",\"value\":{\"n\":[1,2.5,null]}}\n"
    "{\"type\":\"error\",\"kind\":\"ValueError\",\"message\":\"no\",\"traceback\":\"at\\n\"}\n";

TEST(RunReport, what_was_said_last_counts_whatever_pieces_it_came_in) {
  for (const std::size_t piece : {1U, 7U, 100'000U}) {
    const RunReport report = read(kAll, piece);
    EXPECT_EQ(report.progress, (ReportedProgress{0.5, "half"}));
    ASSERT_EQ(report.artifacts.size(), 2U);
    EXPECT_EQ(report.artifacts[0], (ReportedArtifact{"a/b.txt", "text/plain"}));
    EXPECT_EQ(report.artifacts[1], (ReportedArtifact{"c", "x"}));
    EXPECT_EQ(to_text(*report.result), "{\"n\":[1,2.5,null]}");
    EXPECT_EQ(report.error, (ReportedError{"ValueError", "no", "at\n"}));
    EXPECT_EQ(report.refused, 0U) << report.first_refusal;
  }
}

TEST(RunReport, comes_back_from_its_record) {
  const RunReport all = read(std::string(kAll) + "rubbish\n");
  const auto back = run_report_from_json(to_json(all));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(*back, all);
  EXPECT_TRUE(run_report_from_json(to_json(RunReport{}))->empty());
  const RunReport null = read("{\"type\":\"result\",\"value\":null}\n");
  EXPECT_TRUE(run_report_from_json(to_json(null))->result.has_value());
}

TEST(RunReport, hostile_lines_are_counted_and_the_first_fault_is_kept) {
  const std::pair<std::string, const char*> hostile[] = {
      {"rubbish\n", "JSON"},
      {"[]\n", "expected an object"},
      {"{}\n", "type"},
      {"{\"type\":1}\n", "type"},
      {"{\"type\":\"end\"}\n", "type"},
      {"{\"type\":\"progress\"}\n", "fraction"},
      {"{\"type\":\"progress\",\"fraction\":2}\n", "fraction"},
      {"{\"type\":\"progress\",\"fraction\":1e999}\n", ""},
      {"{\"type\":\"progress\",\"fraction\":0.1,\"x\":1}\n", "x: unknown key"},
      {"{\"type\":\"artifact\",\"name\":\"../../etc/passwd\"}\n", "name"},
      {"{\"type\":\"artifact\",\"name\":\"/etc/passwd\"}\n", "name"},
      {"{\"type\":\"result\"}\n", "value"},
      {"{\"type\":\"result\",\"value\":1,\"value\":2}\n", ""},
      {"{\"type\":\"result\",\"value\":" + std::string(40, '[') + std::string(40, ']') + "}\n", ""},
      {"{\"type\":\"error\",\"kind\":\"a\",\"message\":\"" + std::string(5'000, 'x') + "\"}\n",
       "message"},
      {"{\"type\":\"result\",\"value\":\"\xff\"}\n", ""},
      {"{\"type\":\"result\",\"value\":\"" + std::string(1, '\0') + "\"}\n", ""},
      {std::string(kMaxReportLineBytes + 1, 'x') + "\n", "a line of more than"},
      {"{\"type\":\"result\",\"value\":1}", "the last line has no end"},
  };
  for (const auto& [bytes, why] : hostile) {
    const RunReport report = read(bytes, 10'000);
    EXPECT_EQ(report.refused, 1U) << bytes.substr(0, 80);
    EXPECT_THAT(report.first_refusal, HasSubstr(why)) << bytes.substr(0, 80);
    EXPECT_FALSE(report.result || report.error || report.progress || !report.artifacts.empty());
  }
  EXPECT_TRUE(read("").empty());
  EXPECT_TRUE(read("\n\n").empty());
}

TEST(RunReport, a_line_after_one_that_is_too_long_is_read) {
  const RunReport report = read(
      std::string(kMaxReportLineBytes * 2, 'x') + "\n" + "{\"type\":\"result\",\"value\":7}\n",
      999);
  EXPECT_EQ(report.refused, 1U);
  EXPECT_EQ(to_text(*report.result), "7");
}

TEST(RunReport, what_is_kept_is_bounded) {
  std::string artifacts;
  for (int i = 0; i < 1'000; ++i)
    artifacts += "{\"type\":\"artifact\",\"name\":\"f" + std::to_string(i) + "\"}\n";
  const RunReport report = read(artifacts);
  EXPECT_EQ(report.artifacts.size(), kMaxReportedArtifacts);
  EXPECT_EQ(report.refused, 1'000U - kMaxReportedArtifacts);
}

}  // namespace
}  // namespace tare::model
