#include "model/image_config.h"

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "model/profile.h"
#include "model/validate.h"

namespace tare::model {

namespace {

bool is_plain(std::string_view text) {
  return text.find('\0') == std::string_view::npos && is_utf8(text);
}

void add_line(std::string& out, std::string_view key, std::string_view value) {
  out += fmt::format("{} {}:{}\n", key, value.size(), value);
}

std::size_t bytes_of(const ImageConfig& config) {
  std::size_t bytes = config.user.size() + config.workdir.size();
  for (const auto* list : {&config.entrypoint, &config.cmd, &config.env})
    for (const std::string& text : *list) bytes += text.size() + 1;
  return bytes;
}

}  // namespace

std::vector<std::string> ImageConfig::command() const {
  std::vector<std::string> words = entrypoint;
  words.insert(words.end(), cmd.begin(), cmd.end());
  return words;
}

std::string ImageConfig::sandbox_user() const {
  if (user.empty()) return {};
  return user_of_ids({uid, gid});
}

Result<> check_image_config(const ImageConfig& config) {
  if (bytes_of(config) > kMaxImageConfigBytes) {
    return field_error("config", fmt::format("{} bytes of texts, at most {} are allowed",
                                             bytes_of(config), kMaxImageConfigBytes));
  }
  if (const auto command = config.command(); !command.empty())
    TRY(check_argv(config.entrypoint.empty() ? "Cmd" : "Entrypoint", command));
  TRY(check_env("Env", config.env));
  for (const std::string& word : config.command())
    if (!is_plain(word)) return field_error("Cmd", quote(word) + " is not text");
  for (const std::string& variable : config.env)
    if (!is_plain(variable)) return field_error("Env", quote(variable) + " is not text");
  if (config.user.size() > kMaxImageUserBytes || !is_plain(config.user))
    return field_error("User", quote(config.user) + " is not the name of a user");
  if (config.uid > kMaxImageId || config.gid > kMaxImageId)
    return field_error("User", "its ids are not within 0..65535");
  if (config.user.empty() && (config.uid != 0 || config.gid != 0))
    return field_error("User", "ids without a user");
  const std::string& dir = config.workdir;
  if (!dir.empty() && (dir.front() != '/' || dir.size() > kMaxPathBytes || !is_plain(dir)))
    return field_error("WorkingDir", quote(dir) + " is not an absolute path");
  return ok();
}

Json to_json(const ImageConfig& config) {
  JsonObject out;
  if (!config.entrypoint.empty()) out["entrypoint"] = text_list(config.entrypoint);
  if (!config.cmd.empty()) out["cmd"] = text_list(config.cmd);
  if (!config.env.empty()) out["env"] = text_list(config.env);
  if (!config.user.empty()) {
    out["user"] = config.user;
    out["uid"] = config.uid;
    out["gid"] = config.gid;
  }
  if (!config.workdir.empty()) out["workdir"] = config.workdir;
  return out;
}

Result<ImageConfig> read_image_config(const Node& node) {
  ImageConfig config;
  Fields fields(node);
  const auto words = list_of(text(kMaxArgBytes), kMaxArgs);
  fields.optional("entrypoint", config.entrypoint, words);
  fields.optional("cmd", config.cmd, words);
  fields.optional("env", config.env, list_of(text(kMaxImageConfigBytes), kMaxEnv));
  fields.optional("user", config.user, text(kMaxImageUserBytes));
  fields.optional("uid", config.uid, integer<std::uint32_t>(0, kMaxImageId));
  fields.optional("gid", config.gid, integer<std::uint32_t>(0, kMaxImageId));
  fields.optional("workdir", config.workdir, text(kMaxPathBytes));
  TRY(fields.finish());
  TRY(check_image_config(config));
  return config;
}

std::string canonical_text(const ImageConfig& config) {
  std::string out;
  for (const std::string& word : config.entrypoint) add_line(out, "entrypoint", word);
  for (const std::string& word : config.cmd) add_line(out, "cmd", word);
  for (const std::string& variable : config.env) add_line(out, "env", variable);
  if (!config.user.empty()) {
    add_line(out, "user", config.user);
    out += fmt::format("ids {}:{}\n", config.uid, config.gid);
  }
  if (!config.workdir.empty()) add_line(out, "workdir", config.workdir);
  return out;
}

}  // namespace tare::model
