// Token classification with the aggregation strategies of Hugging Face's pipeline. The tokenizer
// marks words by a leading space, not by a prefix on continuations, so a token continues a word
// exactly when neither the character before it nor its first character is a space.
#include <algorithm>

#include "base/utf8.h"
#include "infer/encode.h"
#include "infer/probabilities.h"
#include "infer/tasks/tasks.h"
#include "model/heads.h"

namespace ettin {
namespace {

// A token, or a word of several, with its label scores.
struct Piece {
  std::vector<double> scores;
  size_t label = 0;
  double score = 0;
  int64_t index = -1;
  std::vector<int32_t> ids;
  uint32_t start = 0, end = 0;  // characters
  bool continues_word = false;
};

void choose_label(Piece* p) {
  p->label =
      static_cast<size_t>(std::max_element(p->scores.begin(), p->scores.end()) - p->scores.begin());
  p->score = p->scores[p->label];
}

// Merges the tokens of one word; which scores count is the strategy.
Piece merge_word(std::span<const Piece> tokens, Aggregation strategy) {
  Piece word = tokens.front();
  for (const Piece& t : tokens.subspan(1)) word.ids.push_back(t.ids.front());
  word.end = tokens.back().end;
  if (strategy == Aggregation::max) {
    word.scores =
        std::max_element(tokens.begin(), tokens.end(), [](const Piece& a, const Piece& b) {
          return a.score < b.score;
        })->scores;
  } else if (strategy == Aggregation::average) {
    for (size_t l = 0; l < word.scores.size(); ++l) {
      double sum = 0;
      for (const Piece& t : tokens) sum += t.scores[l];
      word.scores[l] = sum / static_cast<double>(tokens.size());
    }
  }
  choose_label(&word);
  return word;
}

std::vector<Piece> merge_words(std::span<const Piece> tokens, Aggregation strategy) {
  std::vector<Piece> words;
  for (size_t first = 0; first < tokens.size();) {
    size_t last = first + 1;
    while (last < tokens.size() && tokens[last].continues_word) ++last;
    words.push_back(merge_word(tokens.subspan(first, last - first), strategy));
    first = last;
  }
  return words;
}

struct Tag {
  bool begins = false;
  std::string name;
};

Tag tag_of(const std::string& label) {
  if (label.starts_with("B-")) return {true, label.substr(2)};
  if (label.starts_with("I-")) return {false, label.substr(2)};
  return {false, label};
}

// Neighbours with the same tag become one entity, unless the next begins a new one.
std::vector<Entity> group_entities(const Session& session, std::span<const Piece> pieces) {
  const std::vector<std::string>& labels = session.config().labels;
  std::vector<Entity> entities;
  for (size_t first = 0; first < pieces.size();) {
    const Tag tag = tag_of(labels[pieces[first].label]);
    size_t last = first + 1;
    for (; last < pieces.size(); ++last) {
      const Tag next = tag_of(labels[pieces[last].label]);
      if (next.name != tag.name || next.begins) break;
    }
    Entity e;
    const std::string& label = labels[pieces[first].label];
    const size_t dash = label.find('-');
    e.label = dash == std::string::npos ? label : label.substr(dash + 1);
    std::vector<int32_t> ids;
    for (size_t i = first; i < last; ++i) {
      e.score += pieces[i].score / static_cast<double>(last - first);
      ids.insert(ids.end(), pieces[i].ids.begin(), pieces[i].ids.end());
    }
    e.word = session.tokenizer().decode(ids, false, false);
    e.start = pieces[first].start;
    e.end = pieces[last - 1].end;
    entities.push_back(std::move(e));
    first = last;
  }
  return entities;
}

// True for each character index i when character i of the text is a space.
std::vector<bool> spaces_of(std::string_view text) {
  std::vector<bool> spaces;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8(text, at);
    spaces.push_back(step.code_point == ' ');
    at += step.length;
  }
  return spaces;
}

std::vector<Piece> token_pieces(const Session& session, const TextInput& input,
                                const Encoding& encoding, ConstView logits) {
  std::vector<Piece> pieces;
  const std::vector<bool> spaces = spaces_of(input.text);
  const auto is_space = [&](size_t i) { return i < spaces.size() && spaces[i]; };
  std::vector<double> row(static_cast<size_t>(logits.cols));
  for (size_t t = 0; t < encoding.ids.size(); ++t) {
    if (encoding.special[t]) continue;
    session.backend().copy_to_host(logits.slice_rows(static_cast<int64_t>(t), 1), std::span(row));
    Piece p;
    p.scores = softmax(row);
    choose_label(&p);
    p.index = static_cast<int64_t>(t);
    p.ids = {encoding.ids[t]};
    p.start = encoding.char_offsets[t].begin;
    p.end = encoding.char_offsets[t].end;
    p.continues_word = p.start > 0 && !is_space(p.start - 1) && !is_space(p.start);
    pieces.push_back(std::move(p));
  }
  return pieces;
}

std::vector<Entity> to_entities(const Session& session, std::vector<Piece> pieces,
                                const TokenClassifyOptions& options) {
  std::vector<Entity> entities;
  if (options.aggregation == Aggregation::none) {
    for (const Piece& p : pieces) {
      entities.push_back({session.config().labels[p.label], p.score, p.index,
                          std::string(session.tokenizer().token_string(p.ids[0])), p.start, p.end});
    }
  } else {
    if (options.aggregation != Aggregation::simple) {
      pieces = merge_words(pieces, options.aggregation);
    }
    entities = group_entities(session, pieces);
  }
  std::erase_if(entities, [&](const Entity& e) {
    return std::find(options.ignore_labels.begin(), options.ignore_labels.end(), e.label) !=
           options.ignore_labels.end();
  });
  return entities;
}

}  // namespace

Result<std::vector<TokenClassifyResult>> token_classify(const Session& session,
                                                        std::span<const TextInput> inputs,
                                                        const TokenClassifyOptions& options) {
  const ModelConfig& c = session.config();
  if (c.head != Head::token_classification) {
    return wrong_task(session, "token-classify", "a token-classification head",
                      c.head == Head::sequence_classification
                          ? "use classify with this model"
                          : "this is a base model: fine-tune it first");
  }
  for (const TextInput& in : inputs) {
    if (in.pair) {
      return Status(StatusCode::invalid_argument, "token-classify reads single texts, not pairs");
    }
  }
  ETTIN_ASSIGN_OR_RETURN(const std::vector<Encoding> encodings,
                         encode_inputs(session, inputs, options.over_length, true));
  std::vector<TokenClassifyResult> results(inputs.size());
  const Status status = for_each_group(
      inputs.size(), session.batch_tokens(),
      [&](size_t i) { return static_cast<int64_t>(encodings[i].ids.size()); },
      [&](size_t first, size_t last) -> Status {
        Session::Scratch scratch(session);
        Batch batch;
        for (size_t i = first; i < last; ++i) batch.append(encodings[i].ids);
        if (batch.tokens() == 0) return {};
        const View hidden = backbone_forward(session.network(), batch, {}, scratch.arena());
        const View logits = token_logits(session.network(), hidden, scratch.arena());
        for (size_t i = first; i < last; ++i) {
          const int64_t start = batch.starts[i - first];
          const View own = logits.slice_rows(start, batch.starts[i - first + 1] - start);
          results[i].num_tokens = own.rows;
          results[i].truncated = encodings[i].truncated;
          results[i].entities =
              to_entities(session, token_pieces(session, inputs[i], encodings[i], own), options);
        }
        return {};
      });
  ETTIN_RETURN_IF_ERROR(status);
  return results;
}

}  // namespace ettin
