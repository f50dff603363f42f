using GradientAtoms.Gradients;
using GradientAtoms.Localisation;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Text.Documents;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Splits as people read them: texts of tokens, parts by module, in shares of a document's length.</summary>
/// <param name="tokenizer">Of the model.</param>
/// <param name="documents">Every document.</param>
/// <param name="layout">The tracked maps.</param>
internal sealed class TokenLines(Tokenizer tokenizer, IReadOnlyList<TokenizedDocument> documents, ParameterLayout layout)
{
    private readonly Dictionary<int, string[]> _texts = [];

    /// <summary>The modules, in forward order.</summary>
    public IReadOnlyList<string> Modules { get; } = [.. layout.Maps.Select(map => map.ModuleName).Distinct(StringComparer.Ordinal)];

    /// <summary>Describes a document on a pole.</summary>
    /// <param name="pole">The pole's id.</param>
    /// <param name="document">The document's index.</param>
    /// <param name="split">Of g·v.</param>
    /// <param name="loss">The same by loss token, or null.</param>
    /// <param name="scale">The pole's sign over ‖w‖.</param>
    public TokenEvidence Make(string pole, int document, PositionSplit split, double[]? loss, double scale)
    {
        var modules = new double[Modules.Count];
        var at = -1;
        for (var map = 0; map < layout.Maps.Count; map++)
        {
            at += at < 0 || Modules[at] != layout.Maps[map].ModuleName ? 1 : 0;
            modules[at] += split.Maps[map];
        }

        float[] Scaled(IEnumerable<double> parts) => [.. parts.Select(part => (float)(part * scale))];
        return new()
        {
            Pole = pole,
            Document = documents[document].Id,
            Projection = split.Total * scale,
            Tokens = TextsOf(document),
            Trained = [.. documents[document].Trained.Select(trained => trained ? 1 : 0)],
            Position = Scaled(split.Positions),
            Loss = loss is null ? null : Scaled(loss),
            Modules = Scaled(modules),
        };
    }

    private string[] TextsOf(int document)
    {
        if (_texts.TryGetValue(document, out var known))
        {
            return known;
        }

        var decoder = tokenizer.NewDecoder(skipSpecialTokens: false);
        string[] texts = [.. documents[document].Tokens.Select(decoder.Append)];
        if (decoder.Flush() is { Length: > 0 } rest && texts.Length > 0)
        {
            texts[^1] += rest;
        }

        return _texts[document] = texts;
    }
}
