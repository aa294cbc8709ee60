#include "data/build.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/thread_pool.h"
#include "data/build_progress.h"
#include "formats/mds_writer.h"
#include "text/tokenizer.h"

namespace ettin {
namespace {

// A batch is what threads share at a time; its size changes no byte of the output.
constexpr size_t kBatchDocuments = 1024;
constexpr size_t kBatchBytes = size_t{8} << 20;

using TextHash = std::array<uint64_t, 2>;  // 128 of SHA-256's bits: equal for equal texts only

struct HashOfHash {
  size_t operator()(const TextHash& h) const { return h[0]; }
};

// Of the text with its runs of whitespace as one space and none at the ends.
TextHash hash_text(std::string_view text) {
  std::string normal;
  normal.reserve(text.size());
  for (const char c : text) {
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
      if (!normal.empty() && normal.back() != ' ') normal += ' ';
    } else {
      normal += c;
    }
  }
  if (normal.ends_with(' ')) normal.pop_back();
  const std::string hex = sha256_hex(std::as_bytes(std::span(normal)));
  TextHash hash{};
  for (size_t i = 0; i < 32; ++i) {
    const char c = hex[i];
    hash[i / 16] = hash[i / 16] << 4 | static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return hash;
}

// What a build needs while it runs: the sets, what was counted, where it stands.
class Builder {
 public:
  explicit Builder(const BuildOptions& options) : options_(options) {}

  Result<BuildReport> run() {
    ETTIN_RETURN_IF_ERROR(prepare());
    DocumentReader reader(sources_, options_.boundary, options_.text_key);
    for (bool more = true; more;) {
      batch_.clear();
      for (size_t bytes = 0; batch_.size() < kBatchDocuments && bytes < kBatchBytes;) {
        ETTIN_ASSIGN_OR_RETURN(std::optional<Document> document, reader.next());
        more = document.has_value();
        if (!more) break;
        bytes += document->text.size();
        batch_.push_back({*std::move(document), {}, 0, false, 0, {}});
      }
      ETTIN_RETURN_IF_ERROR(take_batch());
    }
    return finish();
  }

 private:
  // A document on its way; what the threads fill in for it.
  struct Item {
    Document document;
    TextHash hash;
    size_t set;   // where it goes
    bool wanted;  // false: a duplicate, or in finished shards already
    uint64_t ordinal;
    std::vector<std::vector<uint32_t>> chunks;  // none: too short
  };

  bool has_holdout() const { return options_.holdout > 0; }
  std::string set_folder(size_t set) const {
    return has_holdout() ? join_path(options_.out, set_names_[set]) : options_.out;
  }

  Status prepare();
  Result<std::string> fingerprint() const;
  Json settings() const;
  Status open_folder();
  Status remove_earlier() const;
  Status open_writers();
  Status take_batch();
  Status write_document(const Item& item);
  Result<BuildReport> finish();

  const BuildOptions& options_;
  std::vector<SourceFile> sources_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<ThreadPool> pool_;
  ChunkOptions chunk_;
  std::vector<std::string> set_names_;
  std::string fingerprint_;
  bool resumed_ = false;

  std::vector<Item> batch_;
  std::unordered_set<TextHash, HashOfHash> seen_;
  uint64_t ordinal_ = 0, chunks_written_ = 0;
  std::vector<TextCounts> texts_;                 // per source
  std::vector<SetProgress> saved_;                // as the progress file has it
  std::vector<std::vector<TokenCounts>> counts_;  // per set and source, up to now
  std::vector<MdsWriter> writers_;                // per set
};

Status Builder::prepare() {
  const auto refuse = [](std::string what, std::string hint) {
    return Status(StatusCode::invalid_argument, std::move(what), std::move(hint));
  };
  if (options_.chunk.max_length < 8 || options_.chunk.max_length > (int64_t{1} << 20)) {
    return refuse(fmt::format("{} is no length of sequences", options_.chunk.max_length),
                  "8 to 1048576 are");
  }
  if (!(options_.holdout >= 0 && options_.holdout < 1)) {
    return refuse(fmt::format("{} is no share to hold out", options_.holdout),
                  "give 0.001 for one document in a thousand");
  }
  if (options_.inputs.empty()) return refuse("there is nothing to read", "name files or folders");
  ETTIN_ASSIGN_OR_RETURN(sources_, find_source_files(options_.inputs));
  ETTIN_ASSIGN_OR_RETURN(tokenizer_, Tokenizer::load(options_.tokenizer));
  const auto cls = tokenizer_->cls_id(), sep = tokenizer_->sep_id();
  if (!cls || !sep) {
    return refuse(fmt::format("{}: the tokenizer has no [CLS] or no [SEP]", options_.tokenizer),
                  "sequences begin and end with them");
  }
  chunk_ = options_.chunk;
  chunk_.first = *cls;
  chunk_.last = *sep;
  set_names_ = {"train"};
  if (has_holdout()) set_names_.push_back("validation");
  pool_ = shared_thread_pool(options_.threads);
  texts_.resize(sources_.size());
  ETTIN_ASSIGN_OR_RETURN(fingerprint_, fingerprint());
  ETTIN_RETURN_IF_ERROR(open_folder());
  return open_writers();
}

Json Builder::settings() const {
  static constexpr const char* kBoundaries[] = {"file", "blank-line", "line"};
  return {{"documents", kBoundaries[static_cast<int>(options_.boundary)]},
          {"text_key", options_.text_key},
          {"max_length", chunk_.max_length},
          {"min_chunk", chunk_.min_length},
          {"skip_below", chunk_.skip_below},
          {"min_tokens", options_.min_tokens},
          {"seed", chunk_.seed},
          {"cls_id", chunk_.first},
          {"sep_id", chunk_.last},
          {"vocab_size", tokenizer_->vocab_size()},
          {"keep_duplicates", options_.keep_duplicates},
          {"add_prefix_space", options_.add_prefix_space},
          {"holdout", options_.holdout},
          {"compression", options_.compression ? Json(*options_.compression) : Json(nullptr)},
          {"hashes", options_.hashes},
          {"size_limit", options_.size_limit}};
}

// Equal only when every byte of the output would be.
Result<std::string> Builder::fingerprint() const {
  Json all = {{"format", 1}, {"settings", settings()}};
  const std::string path = join_path(options_.tokenizer, "tokenizer.json");
  ETTIN_ASSIGN_OR_RETURN(const MappedFile tokenizer, MappedFile::open(path));
  all["tokenizer"] = sha256_hex(tokenizer.bytes());
  Json sources = Json::array();
  for (const SourceFile& source : sources_) {
    ETTIN_ASSIGN_OR_RETURN(std::string stamp, file_stamp(source.path));
    sources.push_back({source.name, std::move(stamp)});
  }
  all["sources"] = std::move(sources);
  const std::string text = dump_json(all);
  return sha256_hex(std::as_bytes(std::span(text)));
}

// Only what a build makes, and half-written files of one that was killed.
Status Builder::remove_earlier() const {
  for (const std::string& folder :
       {options_.out, join_path(options_.out, "train"), join_path(options_.out, "validation")}) {
    ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> names, list_folder(folder, false));
    for (const std::string& name : names) {
      const bool half = name.find(".tmp-") != std::string::npos;
      const bool ours = name.starts_with("shard.") || name == "index.json" || name == kStatsFile ||
                        name == kProgressFile;
      if (!half && !(ours && options_.force)) continue;
      std::error_code ignored;
      std::filesystem::remove(join_path(folder, name), ignored);
    }
  }
  return {};
}

Status Builder::open_folder() {
  ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> names, list_folder(options_.out, false));
  const auto has = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const bool unfinished = has(kProgressFile);
  const bool ours = unfinished || has(kStatsFile);
  if (!names.empty() && !unfinished && !(ours && options_.force)) {
    return Status(StatusCode::invalid_argument, fmt::format("{}: not empty", options_.out),
                  ours ? "it holds a finished build; --force replaces it" : "give a new folder");
  }
  resumed_ = unfinished && !options_.force;
  ETTIN_RETURN_IF_ERROR(remove_earlier());
  for (size_t set = 0; set < set_names_.size(); ++set) {
    std::error_code error;
    std::filesystem::create_directories(set_folder(set), error);
    if (error) {
      return Status(StatusCode::io_error, fmt::format("{}: cannot make the folder: {}",
                                                      set_folder(set), error.message()));
    }
  }
  if (resumed_) {
    ETTIN_ASSIGN_OR_RETURN(
        saved_, load_progress(options_.out, fingerprint_, set_names_.size(), sources_.size()));
    return {};
  }
  SetProgress empty;
  empty.counts.resize(sources_.size());
  saved_.assign(set_names_.size(), empty);
  return save_progress(options_.out, fingerprint_, saved_);
}

Status Builder::open_writers() {
  const MdsWriterOptions how{{{"id", "str"}, {"input_ids", "ndarray:uint32"}},
                             options_.compression,
                             options_.hashes,
                             options_.size_limit};
  for (size_t set = 0; set < set_names_.size(); ++set) {
    for (const MdsShardInfo& shard : saved_[set].shards) {
      const MdsFile& file = shard.zip ? *shard.zip : shard.raw;
      const std::string path = join_path(set_folder(set), file.basename);
      std::error_code error;
      const auto size = std::filesystem::file_size(path, error);
      if (!error && size == file.bytes) continue;
      return Status(StatusCode::bad_data, fmt::format("{}: missing or changed", path),
                    "--force starts the build anew");
    }
    counts_.push_back(saved_[set].counts);
    ETTIN_ASSIGN_OR_RETURN(MdsWriter writer,
                           MdsWriter::create(set_folder(set), how, saved_[set].shards));
    writers_.push_back(std::move(writer));
  }
  return {};
}

Status Builder::take_batch() {
  const auto count = static_cast<int64_t>(batch_.size());
  pool_->parallel_for(count, [&](int64_t i, int) {
    Item& item = batch_[static_cast<size_t>(i)];
    item.hash = hash_text(item.document.text);
  });
  for (Item& item : batch_) {
    item.ordinal = ordinal_++;
    TextCounts& counts = texts_[item.document.source];
    ++counts.documents;
    counts.bytes += item.document.text.size();
    const bool first = options_.keep_duplicates || seen_.insert(item.hash).second;
    if (!first) ++counts.duplicates;
    const double place = static_cast<double>(item.hash[1] >> 11) * 0x1.0p-53;
    item.set = has_holdout() && place < options_.holdout ? 1 : 0;
    item.wanted = first && item.ordinal >= saved_[item.set].document;
  }
  pool_->parallel_for(count, [&](int64_t i, int) {
    Item& item = batch_[static_cast<size_t>(i)];
    if (!item.wanted) return;
    std::string& text = item.document.text;
    if (options_.add_prefix_space && text.front() != ' ') text.insert(0, 1, ' ');
    const Encoding tokens = tokenizer_->encode(text, {.add_special_tokens = false});
    if (static_cast<int64_t>(tokens.ids.size()) < options_.min_tokens) return;
    item.chunks = chunk_document(tokens.ids, chunk_, item.hash[0]);
  });
  for (const Item& item : batch_) {
    if (item.wanted) ETTIN_RETURN_IF_ERROR(write_document(item));
  }
  if (options_.on_progress) options_.on_progress(ordinal_, chunks_written_);
  return {};
}

Status Builder::write_document(const Item& item) {
  SetProgress& saved = saved_[item.set];
  MdsWriter& writer = writers_[item.set];
  TokenCounts counts;
  (item.chunks.empty() ? counts.too_short : counts.documents) = 1;
  // A build that goes on finds the beginning of this document in the finished shards.
  const uint64_t written = item.ordinal == saved.document ? saved.chunks : 0;
  for (uint64_t k = 0; k < item.chunks.size(); ++k) {
    const std::vector<uint32_t>& ids = item.chunks[k];
    ++counts.chunks;
    counts.tokens += ids.size();
    if (k < written) continue;
    ETTIN_RETURN_IF_ERROR(writer.add(std::vector<MdsValue>{
        fmt::format("{}#{}-{}", sources_[item.document.source].name, item.document.number, k),
        MdsArray{MdsDtype::u32, {ids.size()}, std::as_bytes(std::span(ids))}}));
    ++chunks_written_;
    if (writer.shards().size() == saved.shards.size()) continue;
    // A shard was finished before this chunk.
    saved = {writer.shards(), item.ordinal, k, counts_[item.set]};
    ETTIN_RETURN_IF_ERROR(save_progress(options_.out, fingerprint_, saved_));
    if (options_.on_progress) options_.on_progress(item.ordinal, chunks_written_);
  }
  TokenCounts& sum = counts_[item.set][item.document.source];
  sum.documents += counts.documents;
  sum.too_short += counts.too_short;
  sum.chunks += counts.chunks;
  sum.tokens += counts.tokens;
  return {};
}

Result<BuildReport> Builder::finish() {
  for (size_t set = 0; set < writers_.size(); ++set) {
    ETTIN_RETURN_IF_ERROR(writers_[set].finish());
    saved_[set].shards = writers_[set].shards();
    saved_[set].counts = counts_[set];
  }
  Json stats = build_stats(sources_, texts_, set_names_, saved_);
  stats["settings"] = settings();
  ETTIN_RETURN_IF_ERROR(
      write_file_atomic(join_path(options_.out, kStatsFile), dump_json(stats, 2) + "\n"));
  std::error_code ignored;
  std::filesystem::remove(join_path(options_.out, kProgressFile), ignored);
  return BuildReport{std::move(stats), resumed_};
}

}  // namespace

Result<BuildReport> build_dataset(const BuildOptions& options) { return Builder(options).run(); }

}  // namespace ettin
