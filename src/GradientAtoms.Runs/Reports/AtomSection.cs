using System.Globalization;
using System.Text;
using GradientAtoms.Atoms;

namespace GradientAtoms.Runs.Reports;

/// <summary>The table of atoms, each with both poles and their documents.</summary>
internal static class AtomSection
{
    private const int DocumentsPerPole = 10;

    // The file stays near a megabyte: what the markup of atoms and documents leaves of it is for the documents' texts.
    private const int FileBudget = 1_000_000;
    private const int MarkupPerPage = 80_000;
    private const int MarkupPerAtom = 1_700;
    private const int MarkupPerDocument = 110;

    public static void Write(StringBuilder page, ReportData data)
    {
        var listed = data.Atoms.Sum(atom => atom.Poles.Sum(pole => Math.Min(pole.Top.Count, DocumentsPerPole)));
        var length = Math.Clamp(((FileBudget - MarkupPerPage - (data.Atoms.Count * MarkupPerAtom) - (data.Tokens.Count * TokenLine.Markup)) / Math.Max(listed, 1)) - MarkupPerDocument, 60, 700);
        // A sort that keeps the order: certified atoms first, and within them as before.
        var atoms = data.Atoms.OrderByDescending(atom => atom.HasCertified == true).ToList();
        var certified = atoms.Count(atom => atom.HasCertified == true);
        page.Append($"""
            <section aria-labelledby="atoms">
            <h2 id="atoms">Atoms</h2>
            <p>Each atom has up to two poles, marked <span class="p">+</span> and <span class="m">−</span>: its documents of either sign. Up to {DocumentsPerPole.ToString(CultureInfo.InvariantCulture)} documents of a pole are shown with their codes, strongest first, their texts cut at about {Html.Count(length)} characters; <code>gatoms atoms</code> and <code>gatoms docs</code> show them whole.</p>
            <div class="tools">
            <label>Filter <input type="search" id="atom-filter" placeholder="keyword, document text, module" /></label>
            <button type="button" id="atom-open">Open all</button> <button type="button" id="atom-close">Close all</button>
            {Rest(certified, atoms.Count)}<span id="atom-status" role="status" class="soft"></span>
            </div>
            <div class="wrap">
            <table class="atoms" id="atom-table">
            <caption>Atoms{(certified > 0 ? ", certified ones first" : string.Empty)}{(data.Atoms.Any(atom => atom.Share is not null) ? ", largest share first" : string.Empty)}. Headings sort.</caption>
            <thead><tr><th scope="col">Atom</th><th scope="col">Keywords of its poles</th>{Head("documents", "Documents")}{Head("coherence", "Coherence")}{Head("share", "Share")}<th scope="col">Top module</th></tr></thead>

            """);
        foreach (var atom in atoms)
        {
            WriteAtom(page, data, atom, length);
        }

        page.Append("</table>\n</div>\n</section>\n");
    }

    /// <summary>The atom's best coherence over its poles.</summary>
    public static double? Coherence(Atom atom) => atom.Poles.Max(pole => pole.Coherence ?? pole.CoherenceRaw);

    // Without script every atom is there; with it, those that are not certified are folded away behind a box that counts them.
    private static string Rest(int certified, int total) => certified == 0 || certified == total
        ? string.Empty
        : $"<label><input type=\"checkbox\" id=\"atom-rest\" /> also the {Html.Count(total - certified)} that are not certified</label>\n";

    private static string Head(string key, string text) => $"<th scope=\"col\" class=\"n\"><button type=\"button\" data-key=\"{key}\">{text}</button></th>";

    private static void WriteAtom(StringBuilder page, ReportData data, Atom atom, int length)
    {
        var id = Html.Escape(atom.Id);
        var coherence = Coherence(atom);
        page.Append($"<tbody id=\"atom-{id}\" {(atom.HasCertified is { } has ? $"data-certified=\"{(has ? 1 : 0)}\" " : string.Empty)}data-documents=\"{atom.Poles.Sum(pole => pole.Documents).ToString(CultureInfo.InvariantCulture)}\"{Data("coherence", coherence)}{Data("share", atom.Share)}>\n<tr class=\"s\"><th scope=\"row\"><button type=\"button\" class=\"o id\" aria-expanded=\"true\" aria-controls=\"d-{id}\">{id}</button></th><td>");
        foreach (var pole in atom.Poles)
        {
            page.Append($"<span class=\"kw\">{Sign(pole)} {(pole.Certified == true ? "<b title=\"certified\">✓</b> " : string.Empty)}{Name(pole)}{(pole.Only is { Count: > 0 } only ? $" <i title=\"explains at least half of who is here\">only {Html.Escape(string.Join(", ", only))}</i>" : string.Empty)}</span>");
        }

        page.Append($"</td><td class=\"n\">{Lines(atom, pole => Html.Count(pole.Documents))}</td><td class=\"n\">{Lines(atom, pole => pole.Coherence is { } value ? Html.Cosine(value) : "–")}</td><td class=\"n\">{(atom.Share is { } share ? Html.Percent(share) : "–")}</td><td><code>{(atom.Modules is [var first, ..] ? Html.Escape(Shorten(first.Name)) : "–")}</code></td></tr>\n");
        page.Append($"<tr class=\"d\" id=\"d-{id}\"><td colspan=\"6\"><div class=\"poles\">");
        foreach (var pole in atom.Poles)
        {
            WritePole(page, data, pole, length);
        }

        page.Append("</div>");
        WriteModules(page, data, atom);
        if (atom.CoherenceReference is { } reference)
        {
            page.Append($"<p class=\"soft\">Reference coherence: {Html.Cosine(reference)}</p>");
        }

        page.Append("</td></tr>\n</tbody>\n");
    }

    private static void WritePole(StringBuilder page, ReportData data, Pole pole, int length)
    {
        page.Append($"<section aria-label=\"Pole {Html.Escape(pole.Id)}\"><h3>{Sign(pole)} <span class=\"id\">{Html.Escape(pole.Id)}</span>{(pole.Label is { } label ? " " + Html.Escape(label) : string.Empty)}</h3><p class=\"soft\">{Html.Of(pole.Documents, "document")}{Figure("coherence", pole.Coherence)}{Figure("of raw gradients", pole.CoherenceRaw)}</p>{LabelOf(data, pole)}{Words(pole)}{Certificate(pole)}{Confounders(pole)}<ol>");
        foreach (var top in pole.Top.Take(DocumentsPerPole))
        {
            page.Append($"<li><i>{top.Code.ToString("+0.000;−0.000;0.000", CultureInfo.InvariantCulture)}</i><b class=\"id\">{Html.Snippet(top.Id, 60)}</b>");
            if (data.Documents.TryGetValue(top.Id, out var document))
            {
                // The answer is what is trained on: it gets the larger part, and what a short prompt leaves.
                var prompt = Html.Snippet(document.Prompt, length * 2 / 5);
                page.Append(prompt.Length > 0 ? $"<q>{prompt}</q>" : string.Empty).Append($"<span>{Html.Snippet(document.Answer, Math.Max(length - prompt.Length, length / 2))}</span>");
            }

            if (data.Tokens.TryGetValue((pole.Id, top.Id), out var evidence))
            {
                TokenLine.Write(page, evidence);
            }

            page.Append("</li>\n");
        }

        page.Append("</ol>");
        if (pole.Documents > DocumentsPerPole)
        {
            page.Append($"<p class=\"soft\">… and {Html.Count(pole.Documents - DocumentsPerPole)} more: <code>gatoms docs RUN --pole {Html.Escape(pole.Id)}</code></p>");
        }

        page.Append("</section>");
    }

    private static void WriteModules(StringBuilder page, ReportData data, Atom atom)
    {
        if (atom.Modules is not { Count: > 0 } modules)
        {
            return;
        }

        page.Append("<p class=\"soft\">Modules: ").AppendJoin(", ", modules.Take(5).Select(module => $"<code>{Html.Escape(module.Name)}</code> {Html.Percent(module.Share)}")).Append("</p>");
        if (data.Places?.Atoms.FirstOrDefault(place => place.Atom == atom.Id) is { } own)
        {
            var heads = data.Places.Segments.Zip(own.Segments).OrderByDescending(pair => pair.Second).Take(4).Where(pair => pair.Second > 0).ToArray();
            page.Append(heads.Length == 0 ? string.Empty : "<p class=\"soft\">Heads: ").AppendJoin(", ", heads.Select(pair => $"<code>{Html.Escape(Shorten(pair.First.Module))}</code>{(pair.First.Head is { } head ? $" head {Html.Count(head)}" : $" {pair.First.Part}")} {Html.Percent(pair.Second)}")).Append(heads.Length == 0 ? string.Empty : "</p>");
            page.Append("<p class=\"soft\">Neurons written to: ").AppendJoin(", ", own.Neurons.Take(4).Select(neuron => $"<code>{Html.Escape(Shorten(neuron.Module))}</code>{(neuron.Head is { } head ? $" head {Html.Count(head)}" : string.Empty)} row {Html.Count(neuron.Row)} {Html.Percent(neuron.Value)}")).Append("</p>");
        }

        page.Append(WeightTable.Of(data.Weights, atom.Id));
    }

    /// <summary>A bar filled up to a share.</summary>
    public static string Bar(double share) => $"<div class=\"bar\"><b style=\"width:{(Math.Clamp(share, 0, 1) * 100).ToString("0.#", CultureInfo.InvariantCulture)}%\"></b></div>";

    private static string Lines(Atom atom, Func<Pole, string> figure) => string.Concat(atom.Poles.Select(pole => $"<span class=\"kw\">{figure(pole)}</span>"));

    /// <summary>The pole's sign, coloured.</summary>
    public static string Sign(Pole pole) => pole.Sign > 0 ? "<span class=\"p\">+</span>" : "<span class=\"m\">−</span>";

    /// <summary>The pole's label, else its keywords.</summary>
    public static string Name(Pole pole) => pole.Label is { } label ? Html.Escape(label)
        : pole.Keywords is { Count: > 0 } words ? Html.Escape(string.Join(", ", words.Take(6))) : "<span class=\"soft\">–</span>";

    private static string Figure(string name, double? value) => value is { } number ? $" · {name} {Html.Cosine(number)}" : string.Empty;

    private static string LabelOf(ReportData data, Pole pole) => !data.Labels.TryGetValue(pole.Id, out var label) ? string.Empty
        : label is { ByPerson: true } ? "<p class=\"soft\">Label by a person.</p>"
        : $"<p class=\"soft\">Label by {Html.Escape(label.Model ?? "a model")}{(label.Score is { } score ? $": tells {Html.Count(score.Right)} of {Html.Count(score.Total)} unseen documents right, {Html.Percent(score.Accuracy)} (95 %: {Html.Percent(score.Low)} to {Html.Percent(score.High)}; guessing {Html.Percent(score.Chance)})" : string.Empty)}.</p>";

    private static string Words(Pole pole)
    {
        string Part(string what, IReadOnlyList<string>? words) => words is { Count: > 0 } ? $"{what}: {Html.Escape(string.Join(", ", words))}" : string.Empty;
        string[] parts = [.. new[] { Part("asked", pole.PromptKeywords), Part("answered", pole.AnswerKeywords) }.Where(part => part.Length > 0)];
        return parts.Length > 0 ? $"<p class=\"soft\">{string.Join(" · ", parts)}</p>" : string.Empty;
    }

    private static string Certificate(Pole pole)
    {
        if (pole.Certified is not { } certified)
        {
            return string.Empty;
        }

        string Part(string name, string? value, string? chance) => value is null ? string.Empty : $" · {name} {value}{(chance is null ? string.Empty : $" (chance {chance})")}";
        return $"<p class=\"soft\">{(certified ? "<b>certified</b>" : $"not certified ({Html.Escape(string.Join(", ", pole.Reasons ?? []))})")}"
            + Part("false discovery rate", pole.Fdr?.ToString("0.000", CultureInfo.InvariantCulture), null)
            + Part("separation", pole.Separation?.ToString("0.00", CultureInfo.InvariantCulture), pole.SeparationNull?.ToString("0.00", CultureInfo.InvariantCulture))
            + Part("other seeds", pole.Recurrence is { } seeds ? Html.Cosine(seeds) : null, null)
            + Part("thirds agree", pole.Agreement is { } agreement ? Html.Cosine(agreement) : null, pole.AgreementNull is { } agreementNull ? Html.Cosine(agreementNull) : null)
            + Part("coding gain", pole.CodingGain is { } gain ? Html.Percent(gain) : null, pole.CodingGainNull is { } gainNull ? Html.Percent(gainNull) : null)
            + "</p>";
    }

    private static string Confounders(Pole pole)
    {
        if (pole.Confounders is not { Count: > 0 } confounders)
        {
            return string.Empty;
        }

        // What explains less than a hundredth is not worth its place; atoms.json has it.
        var told = confounders.Where(confounder => confounder.Explained >= 0.01)
            .Select(confounder => $"{Html.Escape(confounder.Name)} {Html.Percent(confounder.Explained)}{(confounder.Where is { } where ? $" ({Html.Snippet(where, 60)})" : string.Empty)}").ToArray();
        return $"<p class=\"soft\">{(pole.Only is { Count: > 0 } only ? $"<b>only {Html.Escape(string.Join(", ", only))}</b> · " : string.Empty)}explained by {(told.Length > 0 ? string.Join(", ", told) : "no confounder")}</p>";
    }

    private static string Data(string name, double? value) => value is { } number ? $" data-{name}=\"{number.ToString("R", CultureInfo.InvariantCulture)}\"" : string.Empty;

    /// <summary>The layer's number and the kind: <c>3 · q_proj</c>.</summary>
    private static string Shorten(string module)
    {
        var name = ModuleName.Parse(module);
        return name.Layer is { } layer ? $"{layer.ToString(CultureInfo.InvariantCulture)} · {name.Kind}" : name.Kind;
    }
}
