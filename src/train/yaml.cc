#include "train/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"

namespace ettin {
namespace {

// What ends a parse from inside the library's callbacks; never leaves this file.
struct Refused {
  int line = 0;
  std::string why, hint;
};

// Builds the tree from the library's events: the tree of the library itself would resolve aliases
// and keep duplicate keys.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::shared_ptr<const YamlSource> source) : source_(std::move(source)) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    (void)add(mark, "", anchor, YamlNode::Kind::null);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{mark.line + 1, "an alias (*name)", "write the value out, or use `extends`"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (!open_.empty() && open_.back().node->is_mapping() && !open_.back().has_key) {
      refuse_marks(mark, tag, anchor);
      take_key(mark, value);
      return;
    }
    YamlNode* const node = add(mark, tag, anchor, YamlNode::Kind::scalar);
    node->scalar = value;
    node->quoted = tag == "!";
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open_.push_back({add(mark, tag, anchor, YamlNode::Kind::sequence), false, {}});
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open_.push_back({add(mark, tag, anchor, YamlNode::Kind::mapping), false, {}});
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  // A node that is not finished. Its address holds: only the innermost one grows.
  struct Open {
    YamlNode* node = nullptr;
    bool has_key = false;
    std::string key;
  };

  static void refuse_marks(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) {
      throw Refused{mark.line + 1, "an anchor (&name)", "write the value out, or use `extends`"};
    }
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refused{mark.line + 1, fmt::format("the tag {}", tag), "remove it"};
    }
  }

  void take_key(const YAML::Mark& mark, const std::string& key) {
    Open& open = open_.back();
    if (const YamlNode* const first = open.node->find(key)) {
      throw Refused{mark.line + 1, fmt::format("the key \"{}\" a second time", key),
                    fmt::format("it stands in line {} already", first->line)};
    }
    if (open.node->members.size() >= kMostYamlKeys) {  // looking for doubles takes a square of it
      throw Refused{
          mark.line + 1, fmt::format("a mapping of more than {} keys", kMostYamlKeys), {}};
    }
    open.has_key = true;
    open.key = key;
  }

  YamlNode* add(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                YamlNode::Kind kind) {
    refuse_marks(mark, tag, anchor);
    if (open_.size() >= kMostYamlDepth) {
      throw Refused{
          mark.line + 1, fmt::format("more than {} levels of nesting", kMostYamlDepth), {}};
    }
    YamlNode node;
    node.kind = kind;
    node.source = source_;
    node.line = mark.line + 1;
    if (open_.empty()) {
      root_ = std::move(node);
      return &root_;
    }
    Open& open = open_.back();
    if (open.node->is_sequence()) {
      open.node->items.push_back(std::move(node));
      return &open.node->items.back();
    }
    if (!open.has_key) throw Refused{mark.line + 1, "a key that is not a plain word", {}};
    open.has_key = false;
    open.node->members.emplace_back(std::move(open.key), std::move(node));
    return &open.node->members.back().second;
  }

  std::shared_ptr<const YamlSource> source_;
  YamlNode root_;
  std::vector<Open> open_;
};

}  // namespace

std::string YamlNode::where() const {
  if (!source) return "recipe";
  return line > 0 ? fmt::format("{}:{}", source->name, line) : source->name;
}

std::string_view YamlNode::kind_name() const {
  switch (kind) {
    case Kind::null:
      return "nothing";
    case Kind::scalar:
      return "a single value";
    case Kind::sequence:
      return "a list";
    case Kind::mapping:
      return "a mapping";
  }
  return "?";
}

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name == key) return &value;
  }
  return nullptr;
}

YamlNode* YamlNode::find(std::string_view key) {
  return const_cast<YamlNode*>(std::as_const(*this).find(key));
}

Result<YamlNode> parse_yaml(std::string_view text, std::shared_ptr<const YamlSource> source) {
  const std::string name = source->name;
  if (text.size() > kMostYamlBytes) {
    return Status(StatusCode::resource_limit,
                  fmt::format("{}: more than {} bytes of YAML", name, kMostYamlBytes));
  }
  if (text.find('\0') != std::string_view::npos) {
    return Status(StatusCode::bad_data, fmt::format("{}: a NUL byte in YAML", name));
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(source);
    if (!parser.HandleNextDocument(builder)) {
      YamlNode empty;
      empty.source = std::move(source);
      return empty;
    }
    YamlNode root = builder.take();
    TreeBuilder second(source);
    if (parser.HandleNextDocument(second)) {
      return Status(StatusCode::bad_data, fmt::format("{}: more than one YAML document", name),
                    "keep what stands before the second ---");
    }
    return root;
  } catch (const Refused& refused) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}:{}: {} is not allowed", name, refused.line, refused.why),
                  refused.hint);
  } catch (const YAML::Exception& e) {
    return Status(StatusCode::bad_data, fmt::format("{}:{}: {}", name, e.mark.line + 1, e.msg),
                  "YAML nests by indentation with spaces; text with : or # needs quotes");
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", name, e.what()));
  }
}

Result<YamlNode> read_yaml(const std::string& path) {
  ETTIN_ASSIGN_OR_RETURN(const std::string text, read_file(path, kMostYamlBytes));
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return parse_yaml(text, std::make_shared<YamlSource>(YamlSource{
                              path, folder.empty() ? std::string(".") : folder.string()}));
}

void overlay_yaml(YamlNode over, YamlNode* base) {
  if (!over.is_mapping() || !base->is_mapping()) {
    *base = std::move(over);
    return;
  }
  for (auto& [key, value] : over.members) {
    YamlNode* const old = base->find(key);
    if (old == nullptr) {
      base->members.emplace_back(key, std::move(value));
    } else if (value.is_null()) {
      std::erase_if(base->members, [&](const auto& member) { return member.first == key; });
    } else {
      overlay_yaml(std::move(value), old);
    }
  }
}

std::string quote_yaml(std::string_view text) { return dump_json(Json(std::string(text))); }

}  // namespace ettin
