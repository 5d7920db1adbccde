// Layers that are in the store, searched for secrets.
#include "snapshot/layer_search.h"

#include "base/text.h"
#include "snapshot/layer_mark.h"
#include "snapshot/layer_store.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

Result<> LayerStore::search(const std::string& digest, const NeedleCheck& check, bool anew,
                            const OnProgress& progress) const {
  const sys::UniqueFd layer = TRY(open_layer(digest));
  if (!anew && is_marked(layer.get(), digest, check.set)) return ok();
  const sys::UniqueFd root = TRY(root_of(digest));
  const auto nowhere = [](std::string_view) { return ok(); };
  auto summary = write_manifest_of(root.get(), nowhere, progress, &check);
  const bool damaged = summary ? digest_text(summary->digest) != digest
                               : summary.error().code == Errc::invalid;
  if (damaged) {
    return Error{Errc::conflict, "layer " + digest +
                                     " is damaged, so nobody can say what is in it: `tare env "
                                     "verify` tells more"};
  }
  TRY(std::move(summary));
  mark(layer.get(), digest, check.set);
  return ok();
}

namespace {

// The text, or the part of it that may be said.
Result<> refuse_in_text(const std::string& text, std::string_view what, const NeedleCheck& check) {
  const std::string* name = check.search.find(text);
  if (name == nullptr) return ok();
  std::string where = "the image's configuration (" + std::string(what);
  const std::string variable = text.substr(0, text.find('='));
  if (what == "env" && variable.size() < text.size() && check.search.find(variable) == nullptr)
    where += " " + quote(variable);
  return has_secret(check, *name, where + ")");
}

}  // namespace

Result<> refuse_secrets_in(const model::ImageConfig& config, const NeedleCheck& check) {
  const std::pair<std::string_view, const std::vector<std::string>*> lists[] = {
      {"entrypoint", &config.entrypoint}, {"cmd", &config.cmd}, {"env", &config.env}};
  for (const auto& [what, list] : lists)
    for (const std::string& text : *list) TRY(refuse_in_text(text, what, check));
  TRY(refuse_in_text(config.user, "user", check));
  return refuse_in_text(config.workdir, "workdir", check);
}

}  // namespace tare::snapshot
