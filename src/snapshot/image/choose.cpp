#include "snapshot/image/choose.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace tare::snapshot {

namespace {

constexpr std::size_t kMostListed = 20;

struct Candidate {
  Descriptor manifest;
  Platform platform;
  std::string reference;
  std::size_t number = 0;  // of a saved image
};

std::string described(const Candidate& one) {
  std::string text = one.platform.architecture.empty() ? "unknown platform" : one.platform.text();
  if (!one.reference.empty()) text += " named " + quote(one.reference);
  return text;
}

std::string listed(const std::vector<Candidate>& all) {
  std::string text;
  for (std::size_t i = 0; i < all.size() && i < kMostListed; ++i)
    text += (i > 0 ? ", " : "") + described(all[i]);
  if (all.size() > kMostListed) text += " and more";
  return text;
}

bool is_wanted(const Candidate& one, const Platform& platform, std::string_view reference) {
  if (!reference.empty() && one.reference != reference) return false;
  return platform.takes(one.platform);
}

Result<Candidate> only_one(const std::vector<Candidate>& all, const ImageWish& wish) {
  if (all.empty())
    return Error{Errc::invalid,
                 "image: the archive names none: was it saved by name (`docker save NAME`)?"};
  const Platform platform = wish.platform.empty() ? own_platform()
                                                  : TRY(parse_platform(wish.platform));
  std::vector<Candidate> wanted;
  for (const Candidate& one : all) {
    const bool same = std::ranges::any_of(wanted, [&](const Candidate& other) {
      return !one.manifest.digest.empty() && other.manifest.digest == one.manifest.digest;
    });
    if (!same && is_wanted(one, platform, wish.reference)) wanted.push_back(one);
  }
  if (wanted.size() == 1) return wanted.front();
  const bool is_named = wish.reference.empty() || all.front().reference == wish.reference;
  if (all.size() == 1 && all.front().platform == Platform{} && is_named)
    return all.front();  // it says none
  const std::string what = platform.text() +
                           (wish.reference.empty() ? "" : " named " + quote(wish.reference));
  if (wanted.empty()) {
    return Error{Errc::invalid, "image: there is none for " + what + ", but " + listed(all) +
                                    "; --platform and --ref choose"};
  }
  return Error{Errc::invalid,
               "image: there are several for " + what + ": " + listed(wanted) + "; --ref chooses"};
}

// All manifests that index.json leads to.
class Collector {
 public:
  explicit Collector(const ImageLayout& layout) : layout_(layout) {}

  Result<> add_all(const ImageIndex& index, const std::string& reference, std::size_t depth);
  std::vector<Candidate> found;

 private:
  Result<std::string> read(const Descriptor& descriptor);
  Result<> add_manifest(const Descriptor& entry, const std::string& reference);

  const ImageLayout& layout_;
  std::set<std::string> indexes_;
  std::size_t visited_ = 0;
};

Result<std::string> Collector::read(const Descriptor& descriptor) {
  if (++visited_ > kMaxVisitedDocuments) {
    return Error{Errc::exhausted, "image index: it leads to more than " +
                                      std::to_string(kMaxVisitedDocuments) + " documents"};
  }
  return layout_.read_document(descriptor);
}

Result<> Collector::add_all(const ImageIndex& index, const std::string& reference,
                            std::size_t depth) {
  if (depth > kMaxIndexDepth)
    return Error{Errc::invalid, "image index: indexes within indexes, too deep"};
  for (const Descriptor& entry : index.entries) {
    const std::string& name = entry.reference.empty() ? reference : entry.reference;
    if (entry.type.kind == BlobKind::manifest) {
      TRY(add_manifest(entry, name));
    } else if (indexes_.insert(entry.digest).second) {
      TRY(add_all(TRY(parse_image_index(TRY(read(entry)))), name, depth + 1));
    }
  }
  return ok();
}

Result<> Collector::add_manifest(const Descriptor& entry, const std::string& reference) {
  Candidate one{entry, {}, reference};
  if (entry.platform) {
    one.platform = *entry.platform;
  } else {
    const auto manifest = TRY(parse_image_manifest(TRY(read(entry))));
    one.platform = TRY(parse_image_document(TRY(read(manifest.config)))).platform;
  }
  found.push_back(std::move(one));
  return ok();
}

Result<> check_layers(std::size_t layers, const ImageDocument& document) {
  if (layers == document.diff_ids.size()) return ok();
  return Error{Errc::invalid,
               "image configuration: rootfs.diff_ids: " + std::to_string(document.diff_ids.size()) +
                   " layers, the manifest has " + std::to_string(layers)};
}

}  // namespace

Result<ChosenImage> choose_oci(const ImageLayout& layout, const ImageWish& wish) {
  TRY(check_oci_layout(TRY(layout.read_top("oci-layout"))));
  Collector collector(layout);
  TRY(collector.add_all(TRY(parse_image_index(TRY(layout.read_top("index.json")))), "", 1));
  const Candidate one = TRY(only_one(collector.found, wish));
  const ImageManifest manifest = TRY(parse_image_manifest(TRY(layout.read_document(one.manifest))));
  ChosenImage image;
  image.document = TRY(parse_image_document(TRY(layout.read_document(manifest.config))));
  TRY(check_layers(manifest.layers.size(), image.document));
  for (std::size_t i = 0; i < manifest.layers.size(); ++i)
    image.layers.push_back({manifest.layers[i], {}, image.document.diff_ids[i]});
  return image;
}

Result<ChosenImage> choose_saved(const ImageLayout& layout, const ImageWish& wish) {
  const auto saved = TRY(parse_saved_images(TRY(layout.read_top("manifest.json"))));
  std::vector<Candidate> all;
  std::vector<ImageDocument> documents;
  for (std::size_t i = 0; i < saved.size(); ++i) {
    if (i >= kMaxVisitedDocuments) return Error{Errc::exhausted, "manifest.json: too many images"};
    documents.push_back(TRY(parse_image_document(TRY(layout.read_saved(saved[i].config)))));
    const std::vector<std::string>& tags = saved[i].tags;
    // One name of an image is enough: the one that is asked for, where it has that.
    const bool named = std::ranges::find(tags, wish.reference) != tags.end();
    const std::string tag = named ? wish.reference : tags.empty() ? "" : tags.front();
    all.push_back({{}, documents[i].platform, tag, i});
  }
  const Candidate one = TRY(only_one(all, wish));
  const SavedImage& chosen = saved[one.number];
  ChosenImage image;
  image.document = std::move(documents[one.number]);
  TRY(check_layers(chosen.layers.size(), image.document));
  for (std::size_t i = 0; i < chosen.layers.size(); ++i)
    image.layers.push_back({{}, chosen.layers[i], image.document.diff_ids[i]});
  return image;
}

}  // namespace tare::snapshot
