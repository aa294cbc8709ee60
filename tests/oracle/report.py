"""The measured rows as Markdown."""


def _number(value):
    if value is None:
        return ""
    return f"{value:.1e}"


def _pair(row, side):
    hidden, logits = row.get(side, (None, None))
    return f"{_number(hidden)} | {_number(logits)}"


def _greedy(row):
    if "greedy" not in row:
        return ""
    equal, ties = row["greedy"]
    return f"{equal} equal" + (f", {ties} tied" if ties else "")


def _fill_mask(row):
    if "fill_mask" not in row:
        return ""
    masks, difference = row["fill_mask"]
    return f"{masks} masks, {_number(difference)}"


def _largest(rows, side, scale):
    values = [v for row in rows if f"/{scale}" in row["name"] for v in row.get(side, ())
              if v is not None]
    return _number(max(values)) if values else "-"


def markdown(rows, versions, date):
    """A summary, then one line per case."""
    lines = [f"{date}: " + ", ".join(f"{name} {version}" for name, version in versions.items()),
             "", "| largest distance to float64 | cold | hot |", "|---|---|---|"]
    for side, title in (("cpu", "ettin fp32"), ("hub", "transformers float32"),
                        ("ref", "ettin ref fp64")):
        lines.append(f"| {title} | {_largest(rows, side, 'cold')} | {_largest(rows, side, 'hot')} |")
    lines += ["", "| case | ettin fp32 hidden | logits | transformers f32 hidden | logits "
              "| ettin ref fp64 hidden | logits | greedy | fill-mask | verdict |",
              "|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        verdict = "; ".join(row["problems"]) or "ok"
        lines.append(f"| {row['name']} | {_pair(row, 'cpu')} | {_pair(row, 'hub')} "
                     f"| {_pair(row, 'ref')} | {_greedy(row)} | {_fill_mask(row)} | {verdict} |")
    return "\n".join(lines) + "\n"
