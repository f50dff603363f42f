using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// WordPiece (Schuster and Nakajima 2012) as BERT applies it: the longest known piece from the left, again and again; a
/// word that does not come out even is unknown as a whole.
/// </summary>
internal sealed class WordPieceModel : TokenizerModel
{
    private readonly PieceTrie _beginnings = new();
    private readonly PieceTrie _continuations = new();
    private readonly int _unknownId;
    private readonly int _longestWord;

    /// <summary>Makes the model.</summary>
    /// <param name="tokens">The model's tokens and ids.</param>
    /// <param name="unknownId">What an unknown word becomes.</param>
    /// <param name="prefix">What stands before a piece that continues a word, such as <c>##</c>.</param>
    /// <param name="longestWord">Words of more characters are unknown.</param>
    public WordPieceModel(IEnumerable<KeyValuePair<string, int>> tokens, int unknownId, string prefix, int longestWord)
    {
        _unknownId = unknownId;
        _longestWord = longestWord;
        foreach (var (token, id) in tokens)
        {
            if (token.Length == 0)
            {
                continue;
            }

            _beginnings.Add(token, id);
            if (token.Length > prefix.Length && token.StartsWith(prefix, StringComparison.Ordinal))
            {
                _continuations.Add(token[prefix.Length..], id);
            }
        }
    }

    /// <inheritdoc/>
    protected override Word Compute(ReadOnlySpan<int> word, ReadOnlySpan<char> text)
    {
        var ids = new List<int>();
        var lengths = new List<int>();
        for (var start = 0; start < word.Length;)
        {
            var trie = start == 0 ? _beginnings : _continuations;
            var (node, found, stop, size, bytes) = (0, -1, start, 0, 0);
            for (var end = start + 1; end <= word.Length && (node = trie.Next(node, word[end - 1])) >= 0; end++)
            {
                bytes += SizeOf(word[end - 1]);
                if (trie.IdAt(node) is >= 0 and var id)
                {
                    (found, stop, size) = (id, end, bytes);
                }
            }

            if (found < 0 || word.Length > _longestWord)
            {
                return Word.Of([_unknownId], [Encoding.UTF8.GetByteCount(text)]);
            }

            ids.Add(found);
            lengths.Add(size);
            start = stop;
        }

        return Word.Of([.. ids], [.. lengths]);
    }
}

/// <summary>A word is a token, or unknown.</summary>
internal sealed class WordLevelModel(IReadOnlyDictionary<string, int> tokens, int? unknownId, string location) : TokenizerModel
{
    /// <inheritdoc/>
    protected override Word Compute(ReadOnlySpan<int> word, ReadOnlySpan<char> text)
    {
        var spelled = text.ToString();
        var id = tokens.TryGetValue(spelled, out var known) ? known : unknownId ?? throw new TokenizerException(
            "GA2110",
            location,
            $"the vocabulary has no token for \"{spelled}\", and none for what is unknown",
            "Leave the document out, or use a tokenizer with an unk_token.");
        return Word.Of([id], [Encoding.UTF8.GetByteCount(text)]);
    }
}
