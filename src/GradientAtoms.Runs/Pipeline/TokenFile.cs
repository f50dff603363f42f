using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>The tokenised documents of a run: <c>tokens.safetensors</c>, all tokens one after another, with where each document ends.</summary>
internal static class TokenFile
{
    public static void Write(string path, IReadOnlyList<TokenizedDocument> documents)
    {
        using var scope = NewDisposeScope();
        var ends = new long[documents.Count];
        var end = 0L;
        for (var i = 0; i < documents.Count; i++)
        {
            ends[i] = end += documents[i].Tokens.Length;
        }

        SafetensorsWriter.Write(path,
        [
            ("tokens", tensor(documents.SelectMany(document => document.Tokens).ToArray(), dtype: ScalarType.Int32)),
            ("trained", tensor(documents.SelectMany(document => document.Trained).ToArray(), dtype: ScalarType.Bool).to(ScalarType.Byte)),
            ("ends", tensor(ends, dtype: ScalarType.Int64)),
            ("truncated", tensor(documents.Select(document => document.TruncatedTokens).ToArray(), dtype: ScalarType.Int32)),
        ]);
    }

    public static IReadOnlyList<TokenizedDocument> Read(string path, IReadOnlyList<TextRow> texts)
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(path);
        var tokens = file.ReadRaw("tokens").data<int>().ToArray();
        var trained = file.ReadRaw("trained").data<byte>().ToArray();
        var ends = file.ReadRaw("ends").data<long>().ToArray();
        var truncated = file.ReadRaw("truncated").data<int>().ToArray();
        var documents = new List<TokenizedDocument>();
        var start = 0;
        for (var i = 0; i < ends.Length; i++)
        {
            var (first, last) = (start, (int)ends[i]);
            documents.Add(new(texts[i].Id, texts[i].Line, tokens[first..last], [.. trained[first..last].Select(flag => flag != 0)], truncated[i]));
            start = last;
        }

        return documents;
    }
}

/// <summary>What a reader sees of a document, kept in the run so that it can be read without the data file.</summary>
/// <param name="Id">The document's id.</param>
/// <param name="Line">Its line in the data file, from 1.</param>
/// <param name="Prompt">Everything before the first answer.</param>
/// <param name="Answer">The answers, or the plain text.</param>
/// <param name="HeldOut">Whether the dictionary is not learnt from it.</param>
public sealed record TextRow(string Id, int Line, string Prompt, string Answer, bool HeldOut)
{
    /// <summary>What the row says that it comes from (<see cref="Document.Source"/>); null where it says nothing.</summary>
    public string? Source { get; init; }
}
