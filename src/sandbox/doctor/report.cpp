#include "sandbox/doctor/report.h"

#include <algorithm>

#include "base/text.h"

namespace tare::sandbox {

namespace {

void append_text(std::string& out, std::string_view key, std::string_view text) {
  out += ",\"";
  out += key;
  out += "\":";
  append_json_string(out, text, kMaxFindingBytes);
}

void append_flag(std::string& out, std::string_view key, bool value) {
  out += ",\"";
  out += key;
  out += value ? "\":true" : "\":false";
}

bool is_required(const Finding& finding) {
  const Need need = finding.check->need;
  return need == Need::always || (need == Need::with_root && !finding.inside);
}

// What the kernel refuses anybody who is not root of a user namespace.
constexpr Result<std::string> (*kOfRoot[])(const Host&) = {&check_capabilities,
                                                           &check_resource_capability,
                                                           &check_user_namespace,
                                                           &check_mount_namespace,
                                                           &check_proc,
                                                           &check_idmapped_mount,
                                                           &check_overlay,
                                                           &check_memory_disk,
                                                           &check_loop_devices,
                                                           &check_image_disk,
                                                           &check_network_namespace,
                                                           &check_seccomp,
                                                           &check_refusals_told};

bool is_ok(const Finding& finding) { return finding.works || !is_required(finding); }

}  // namespace

std::string_view cause_of(const Finding& finding, const std::vector<Finding>& before,
                          bool ordinary) {
  if (finding.works) return {};
  for (const Finding& one : before) {
    if (ordinary && !one.works && one.check->perform == &check_root &&
        std::ranges::find(kOfRoot, finding.check->perform) != std::end(kOfRoot))
      return one.check->name;
    if (!one.works && one.detail == finding.detail)
      return one.follows.empty() ? one.check->name : one.follows;
  }
  return {};
}

std::string render(const std::vector<Finding>& findings) {
  std::string out = "{\"checks\":[";
  for (const Finding& finding : findings) {
    if (&finding != findings.data()) out += ',';
    out += "{\"name\":";
    append_json_string(out, finding.check->name, kMaxFindingBytes);
    append_flag(out, "ok", is_ok(finding));
    append_flag(out, "warning", !finding.works && !is_required(finding));
    append_text(out, "detail", finding.detail);
    append_text(out, "consequence", finding.works ? "" : finding.check->consequence);
    append_text(out, "fix", finding.works ? "" : finding.check->fix);
    if (!finding.follows.empty()) append_text(out, "follows", finding.follows);
    out += '}';
  }
  return out + "]}\n";
}

bool all_ok(const std::vector<Finding>& findings) { return std::ranges::all_of(findings, is_ok); }

}  // namespace tare::sandbox
