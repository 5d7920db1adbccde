#include "http/route.h"

#include <algorithm>

#include "base/check.h"

namespace tare::http {

std::vector<RouteTable::Segment> RouteTable::parse_template(std::string_view path) {
  CHECK(path.starts_with('/'));
  std::vector<Segment> segments;
  path.remove_prefix(1);
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    auto text = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    const bool is_parameter = text.starts_with('{') && text.ends_with('}');
    if (is_parameter) text = text.substr(1, text.size() - 2);
    CHECK(!text.empty() && text.find_first_of("{}") == text.npos);
    segments.push_back({std::string(text), is_parameter});
  }
  return segments;
}

RouteTable::RouteTable(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (const auto& route : routes_) {
    CHECK(route.handler != nullptr);
    for (const auto& other : routes_) {
      CHECK(&other == &route || other.method != route.method || other.path != route.path);
    }
    templates_.push_back(parse_template(route.path));
  }
}

RouteTable::Match RouteTable::find(Method method, const std::vector<std::string>& segments) const {
  auto matches = [&](const std::vector<Segment>& pattern) {
    return std::equal(pattern.begin(), pattern.end(), segments.begin(), segments.end(),
                      [](const Segment& want, const std::string& have) {
                        return want.is_parameter ? !have.empty() : want.text == have;
                      });
  };
  auto literals = [](const std::vector<Segment>& pattern) {
    return std::count_if(pattern.begin(), pattern.end(),
                         [](const Segment& segment) { return !segment.is_parameter; });
  };
  // The most literal template is the path's; the others do not count for 405 either.
  std::string_view path;
  std::ptrdiff_t best = -1;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    if (!matches(templates_[i]) || literals(templates_[i]) <= best) continue;
    best = literals(templates_[i]);
    path = routes_[i].path;
  }
  Match match;
  if (best < 0) return match;
  bool serves_head = false;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    const Route& route = routes_[i];
    if (route.path != path) continue;
    const bool head_by_get = method == Method::head && route.method == Method::get;
    if (route.method == method || (head_by_get && match.route == nullptr)) {
      match.route = &route;
      for (std::size_t s = 0; s < segments.size(); ++s) {
        if (!templates_[i][s].is_parameter) continue;
        match.parameters.emplace_back(templates_[i][s].text, segments[s]);
      }
    }
    serves_head = serves_head || route.method == Method::head || route.method == Method::get;
    if (route.method == Method::head) continue;
    match.allow.append(match.allow.empty() ? "" : ", ").append(to_string(route.method));
  }
  if (serves_head) match.allow += match.allow.empty() ? "HEAD" : ", HEAD";
  return match;
}

}  // namespace tare::http
