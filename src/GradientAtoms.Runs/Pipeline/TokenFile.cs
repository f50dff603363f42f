using System.Collections;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>The tokenised documents of a run: <c>tokens.safetensors</c>, all tokens one after another, with where each document ends.</summary>
internal static class TokenFile
{
    public static PackedDocuments Read(string path, IReadOnlyList<TextRow> texts)
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(path);
        var (ids, lines) = (new string[texts.Count], new int[texts.Count]);
        foreach (var (index, text) in texts.Index())
        {
            (ids[index], lines[index]) = (text.Id, text.Line);
        }

        return new(
            ids,
            lines,
            file.ReadRaw("tokens").data<int>().ToArray(),
            file.ReadRaw("trained").data<byte>().ToArray(),
            file.ReadRaw("ends").data<long>().ToArray(),
            file.ReadRaw("truncated").data<int>().ToArray());
    }
}

/// <summary>Tokenised documents in a few arrays: one is made when it is asked for.</summary>
/// <param name="ids"><c>[N]</c>.</param>
/// <param name="lines"><c>[N]</c>.</param>
/// <param name="tokens">Of all documents, one after another.</param>
/// <param name="trained">The same long; 1 where the token is part of the loss.</param>
/// <param name="ends"><c>[N]</c>: behind each document's last token.</param>
/// <param name="truncated"><c>[N]</c>.</param>
internal sealed class PackedDocuments(string[] ids, int[] lines, int[] tokens, byte[] trained, long[] ends, int[] truncated) : IReadOnlyList<TokenizedDocument>
{
    /// <inheritdoc/>
    public int Count => ends.Length;

    /// <inheritdoc/>
    public TokenizedDocument this[int index]
    {
        get
        {
            var (first, last) = (index == 0 ? 0 : (int)ends[index - 1], (int)ends[index]);
            return new(ids[index], lines[index], tokens[first..last], Array.ConvertAll(trained[first..last], flag => flag != 0), truncated[index]);
        }
    }

    /// <summary>Writes them, less ids and lines.</summary>
    /// <param name="path">Replaced where it is there.</param>
    public void Write(string path)
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(path,
        [
            ("tokens", tensor(tokens, dtype: ScalarType.Int32)),
            ("trained", tensor(trained, dtype: ScalarType.Byte)),
            ("ends", tensor(ends, dtype: ScalarType.Int64)),
            ("truncated", tensor(truncated, dtype: ScalarType.Int32)),
        ]);
    }

    /// <inheritdoc/>
    public IEnumerator<TokenizedDocument> GetEnumerator()
    {
        for (var index = 0; index < ends.Length; index++)
        {
            yield return this[index];
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Packs documents one after another.</summary>
    public sealed class Builder
    {
        private readonly List<string> _ids = [];
        private readonly List<int> _lines = [];
        private readonly List<int> _tokens = [];
        private readonly List<byte> _trained = [];
        private readonly List<long> _ends = [];
        private readonly List<int> _truncated = [];

        /// <summary>Documents so far.</summary>
        public int Count => _ends.Count;

        /// <summary>Their tokens.</summary>
        public long TokenCount => _tokens.Count;

        public void Add(TokenizedDocument document)
        {
            _ids.Add(document.Id);
            _lines.Add(document.Line);
            _tokens.AddRange(document.Tokens);
            foreach (var flag in document.Trained)
            {
                _trained.Add(flag ? (byte)1 : (byte)0);
            }

            _ends.Add(_tokens.Count);
            _truncated.Add(document.TruncatedTokens);
        }

        public PackedDocuments Build() => new([.. _ids], [.. _lines], [.. _tokens], [.. _trained], [.. _ends], [.. _truncated]);
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
