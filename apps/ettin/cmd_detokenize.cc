// ettin detokenize
#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "base/json.h"
#include "command.h"
#include "line_source.h"
#include "model_flags.h"
#include "text_layout.h"
#include "text_task.h"

namespace ettin::cli {
namespace {

Status not_an_id(std::string_view word) {
  return Status(StatusCode::invalid_argument, fmt::format("\"{:.40}\" is no token id", word),
                "ids are whole numbers, separated by spaces or commas");
}

// "8188, 310 450" appended to *ids.
Status parse_ids(std::string_view text, std::vector<int32_t>* ids) {
  constexpr std::string_view kSeparators = " ,\t[]";
  for (size_t at = 0; (at = text.find_first_not_of(kSeparators, at)) != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kSeparators, at), text.size());
    const std::string_view word = text.substr(at, end - at);
    int32_t id = 0;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || stop != word.data() + word.size()) return not_an_id(word);
    ids->push_back(id);
    at = end;
  }
  return {};
}

class Detokenize : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] ID...",
            "Puts token ids together to a text. The arguments are one list of ids; a file has one "
            "list a line.",
            {"ettin detokenize 8188 310 450 267 2853 8189",
             "ettin detokenize --skip-special-tokens \"8188, 310, 450, 8189\"",
             "ettin tokenize --json \"Hello!\" | ettin detokenize --json -"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&ids_);
    flags.toggle("--skip-special-tokens", "leave out [CLS], [SEP] and the like", &skip_special_);
    flags.toggle("--json", "an object with text for each list", &json);
    flags.group("input");
    flags.option("--input", "FILE",
                 "JSON lines with a field \"ids\" or \"input_ids\", and where wanted \"id\"; - is "
                 "standard input",
                 &input_);
    flags.toggle("--lines", "the input is numbers, one list a line", &lines_);
    model_.add_to(flags, kDefaultEncoder);
  }

  Status run(Console& console) override {
    if (ids_.size() == 1 && ids_[0] == "-" && input_.empty()) {
      input_ = ids_[0];
      ids_.clear();
    }
    if (ids_.empty() == input_.empty()) {
      return Status(
          StatusCode::invalid_argument,
          ids_.empty() ? "no ids are given" : "ids are given both as arguments and by --input",
          "give ids, or --input FILE, or - for standard input");
    }
    ETTIN_ASSIGN_OR_RETURN(const Model model, model_.load_tokenizer(console, kDefaultEncoder));
    if (input_.empty()) {
      std::vector<int32_t> ids;
      for (const std::string& word : ids_) ETTIN_RETURN_IF_ERROR(parse_ids(word, &ids));
      return answer(console, model, {}, ids);
    }
    ETTIN_ASSIGN_OR_RETURN(LineSource source, LineSource::open(input_));
    for (;;) {
      ETTIN_ASSIGN_OR_RETURN(const std::optional<std::string> line, source.next());
      if (!line) return {};
      if (!lines_ && line->find_first_not_of(" \t") == std::string::npos) continue;
      Record record;
      record.where = source.where();
      std::vector<int32_t> ids;
      const Status status = lines_ ? parse_ids(*line, &ids) : parse_object(*line, &record, &ids);
      if (!status.ok()) return status.with_context(record.where);
      ETTIN_RETURN_IF_ERROR(answer(console, model, record, ids));
      if (!source.is_ready()) ETTIN_RETURN_IF_ERROR(console.flush());
    }
  }

 private:
  static Status parse_object(const std::string& line, Record* record, std::vector<int32_t>* ids) {
    constexpr const char* kHint =
        "each line is an object like {\"ids\": [310, 450]}; for plain numbers add --lines";
    const Result<Json> object = parse_json(line, "JSON");
    if (!object.ok()) {
      return Status(StatusCode::invalid_argument, object.status().message(), kHint);
    }
    const Json* list = json_member(*object, "ids");
    if (list == nullptr) list = json_member(*object, "input_ids");
    if (list == nullptr || !list->is_array()) {
      return Status(StatusCode::invalid_argument, "no array \"ids\" or \"input_ids\"", kHint);
    }
    for (const Json& id : *list) {
      if (!id.is_number_integer() || id.get<int64_t>() < INT32_MIN ||
          id.get<int64_t>() > INT32_MAX) {
        return not_an_id(dump_json(id));
      }
      ids->push_back(id.get<int32_t>());
    }
    if (const Json* name = json_member(*object, "id")) record->id = *name;
    return {};
  }

  Status answer(Console& console, const Model& model, const Record& record,
                const std::vector<int32_t>& ids) const {
    Result<std::string> text = model.detokenize(ids, skip_special_);
    if (!text.ok()) {
      return record.where.empty() ? text.status() : text.status().with_context(record.where);
    }
    if (json) {
      write_json(console, record, {{"text", *text}});
    } else {
      console.line(console.out_is_terminal() ? printable(*text, true) : *text);
    }
    return {};
  }

  std::vector<std::string> ids_;
  std::string input_;
  bool lines_ = false, skip_special_ = false;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_detokenize() { return std::make_unique<Detokenize>(); }

}  // namespace ettin::cli
