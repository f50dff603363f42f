using System.Runtime.InteropServices;

namespace GradientAtoms.Text.Tokenization;

/// <summary>A token that is cut out of a text before anything else.</summary>
internal sealed record AddedToken(string Content, int Id)
{
    /// <summary>Whether blanks before it belong to it.</summary>
    public bool StripsLeft { get; init; }

    /// <summary>Whether blanks after it belong to it.</summary>
    public bool StripsRight { get; init; }

    /// <summary>Whether it counts only with no word character beside it.</summary>
    public bool SingleWord { get; init; }

    /// <summary>Whether it is looked for in the normalized text.</summary>
    public bool Normalized { get; init; }

    /// <summary>Whether it is no text of the author's, so that decoding can leave it out.</summary>
    public bool Special { get; init; }

    /// <summary>Reads one element of <c>added_tokens</c>.</summary>
    public static AddedToken From(TokenizerNode node) => WithId(node, node.Need("id").Number());

    /// <summary>Reads the rest of one whose id stands elsewhere.</summary>
    public static AddedToken WithId(TokenizerNode node, int id)
    {
        var special = node.Flag("special", false);
        return new AddedToken(node.Need("content").Text(), id)
        {
            StripsLeft = node.Flag("lstrip", false),
            StripsRight = node.Flag("rstrip", false),
            SingleWord = node.Flag("single_word", false),
            Normalized = node.Flag("normalized", !special),
            Special = special,
        };
    }
}

/// <summary>A part of a text: an added token, or text for the model where <see cref="Token"/> is null.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct AddedTokenPart(int From, int To, AddedToken? Token);

/// <summary>Finds added tokens, leftmost and longest first.</summary>
internal sealed class AddedTokenFinder
{
    private readonly Node _root = new();

    /// <summary>Makes the finder; of tokens with the same text the first counts.</summary>
    /// <param name="tokens">The tokens, each with the text to look for.</param>
    public AddedTokenFinder(IEnumerable<(int[] Text, AddedToken Token)> tokens)
    {
        foreach (var (text, token) in tokens)
        {
            if (text.Length == 0)
            {
                continue;
            }

            var node = _root;
            foreach (var code in text)
            {
                node.Next ??= [];
                if (!node.Next.TryGetValue(code, out var next))
                {
                    next = new Node();
                    node.Next.Add(code, next);
                }

                node = next;
            }

            node.Token ??= token;
        }
    }

    /// <summary>Parts a text; no part of text is empty.</summary>
    public List<AddedTokenPart> Split(ReadOnlySpan<int> text)
    {
        var parts = new List<AddedTokenPart>();
        var last = 0;
        var at = 0;
        while (at < text.Length)
        {
            var (token, end) = Longest(text, at);
            if (token is null)
            {
                at++;
                continue;
            }

            var (from, to) = (at, end);
            at = end;
            if (token.SingleWord
                && ((from > 0 && CharacterClass.IsWord(text[from - 1])) || (to < text.Length && CharacterClass.IsWord(text[to]))))
            {
                continue;
            }

            while (token.StripsLeft && from > last && CharacterClass.IsSpace(text[from - 1]))
            {
                from--;
            }

            while (token.StripsRight && to < text.Length && CharacterClass.IsSpace(text[to]))
            {
                to++;
            }

            if (from < last)
            {
                from = last;
            }

            if (from > last)
            {
                parts.Add(new AddedTokenPart(last, from, null));
            }

            parts.Add(new AddedTokenPart(from, to, token));
            last = to;
        }

        if (last < text.Length)
        {
            parts.Add(new AddedTokenPart(last, text.Length, null));
        }

        return parts;
    }

    private (AddedToken? Token, int End) Longest(ReadOnlySpan<int> text, int at)
    {
        (AddedToken? Token, int End) best = (null, at);
        var node = _root;
        for (var i = at; i < text.Length && node.Next is not null && node.Next.TryGetValue(text[i], out var next); i++)
        {
            node = next;
            if (node.Token is not null)
            {
                best = (node.Token, i + 1);
            }
        }

        return best;
    }

    private sealed class Node
    {
        public Dictionary<int, Node>? Next { get; set; }

        public AddedToken? Token { get; set; }
    }
}
