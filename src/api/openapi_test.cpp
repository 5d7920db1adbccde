// docs/api/openapi.yaml and the route table say the same. The file is kept regular for this: a path
// is a key at two spaces below `paths:`, its methods are keys at four spaces, each with an
// operationId.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "api/routes.h"

namespace tare::api {
namespace {

using Operations = std::set<std::string>;  // "get /v1/runs list_runs"

Operations documented() {
  std::ifstream file(TARE_SOURCE_DIR "/docs/api/openapi.yaml");
  EXPECT_TRUE(file.is_open());
  Operations out;
  std::string line, path, method;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line == "paths:") inside = true;
    if (line == "components:") inside = false;
    if (!inside) continue;
    const bool key = line.ends_with(':');
    if (key && line.starts_with("  /")) path = line.substr(2, line.size() - 3);
    if (key && line.starts_with("    ") && line[4] != ' ') method = line.substr(4, line.size() - 5);
    constexpr std::string_view kOperation = "      operationId: ";
    if (line.starts_with(kOperation))
      out.insert(method + " " + path + " " + line.substr(kOperation.size()));
  }
  return out;
}

Operations served() {
  Operations out;
  for (const Row& row : rows()) {
    std::string method(http::to_string(row.method));
    for (char& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    out.insert(method + " " + std::string(row.path) + " " + std::string(row.operation));
  }
  return out;
}

TEST(OpenApi, documents_every_route_and_every_documented_operation_is_served) {
  EXPECT_EQ(served(), documented());
  EXPECT_EQ(rows().size(), served().size()) << "a route is there twice";
}

TEST(Routes, what_only_reads_needs_no_right_to_write) {
  for (const Row& row : rows()) {
    const bool reads = row.method == http::Method::get;
    const bool may_write = row.scope == Scope::runs_write || row.scope == Scope::agents_write ||
                           row.scope == Scope::environments_write ||
                           row.scope == Scope::secrets_write;
    EXPECT_FALSE(reads && may_write) << row.path;
    EXPECT_FALSE(row.method == http::Method::post && row.scope == Scope::runs_read) << row.path;
  }
}

}  // namespace
}  // namespace tare::api
