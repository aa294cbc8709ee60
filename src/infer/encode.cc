#include "infer/encode.h"

#include <algorithm>

#include <fmt/format.h>

namespace ettin {

Status need_tokenizer(const Session& session) {
  if (session.has_tokenizer()) return {};
  return Status(
      StatusCode::unsupported,
      fmt::format("{}: no tokenizer.json, so no text can be read", session.info().directory),
      "put the model's tokenizer.json beside config.json");
}

Status need_weights(const Session& session) {
  if (session.has_weights()) return {};
  return Status(StatusCode::invalid_argument,
                fmt::format("{} was loaded without weights", session.info().directory),
                "load it with load_weights = true");
}

Status check_text_size(const TextInput& input, size_t index) {
  constexpr size_t kMostBytes = (size_t{1} << 30) - 1;
  const size_t bytes = std::max(input.text.size(), input.pair ? input.pair->size() : 0);
  if (bytes <= kMostBytes) return {};
  return Status(StatusCode::resource_limit,
                fmt::format("text {} has {} bytes; the limit is {}", index, bytes, kMostBytes),
                "cut it into several texts");
}

Result<std::vector<Encoding>> encode_inputs(const Session& session,
                                            std::span<const TextInput> inputs, OverLength rule,
                                            bool with_offsets, int64_t limit) {
  ETTIN_RETURN_IF_ERROR(need_tokenizer(session));
  for (size_t i = 0; i < inputs.size(); ++i) ETTIN_RETURN_IF_ERROR(check_text_size(inputs[i], i));
  if (limit == 0) limit = session.max_tokens();
  EncodeOptions options;
  options.with_offsets = with_offsets;
  if (rule == OverLength::truncate) options.max_length = limit;
  std::vector<Encoding> encodings(inputs.size());
  session.backend().threads().parallel_for(
      static_cast<int64_t>(inputs.size()), [&](int64_t i, int) {
        const TextInput& in = inputs[static_cast<size_t>(i)];
        encodings[static_cast<size_t>(i)] =
            in.pair ? session.tokenizer().encode_pair(in.text, *in.pair, options)
                    : session.tokenizer().encode(in.text, options);
      });
  for (size_t i = 0; i < encodings.size(); ++i) {
    const auto tokens = static_cast<int64_t>(encodings[i].ids.size());
    if (tokens > limit) {
      return Status(
          StatusCode::too_long,
          fmt::format("text {} has {} tokens; this model reads at most {}", i, tokens, limit),
          "shorten it, or ask for truncation (--truncate)");
    }
  }
  return encodings;
}

Status wrong_task(const Session& session, std::string_view task, std::string_view needs,
                  std::string_view instead) {
  const bool causal = session.config().arm.direction == Direction::causal;
  return Status(
      StatusCode::unsupported,
      fmt::format("{} needs {}; {} is {} {} with head {}", task, needs, session.info().directory,
                  causal ? "a" : "an", session.info().kind, session.info().head),
      std::string(instead));
}

}  // namespace ettin
