using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// A text in code points, each with the span of the original text that it stands for, cut into pieces. Normalizers and
/// pre-tokenizers change it step by step; the spans follow, so that a token's offsets lead back to the original.
/// </summary>
/// <remarks>
/// How spans follow a change is the <c>tokenizers</c> library's rule, since its offsets are the reference: what replaces a
/// character takes its span, what is inserted takes the span of the character before.
/// </remarks>
internal sealed class AlignedText
{
    private AlignedText(int[] codes, int[] starts, int[] ends, int count, int originalStart)
    {
        Codes = codes;
        Starts = starts;
        Ends = ends;
        Count = count;
        OriginalStart = originalStart;
        Pieces = [(0, count)];
    }

    /// <summary>The code points, <c>[Count]</c> of them in use.</summary>
    public int[] Codes { get; private set; }

    /// <summary>Where the span of each code point starts in the original.</summary>
    public int[] Starts { get; private set; }

    /// <summary>Where it ends.</summary>
    public int[] Ends { get; private set; }

    /// <summary>How many code points there are.</summary>
    public int Count { get; private set; }

    /// <summary>Where the part of the original begins from which this text was made.</summary>
    public int OriginalStart { get; }

    /// <summary>The pieces, [From, To) in code points of this text, none of them empty once a step has cut.</summary>
    public List<(int From, int To)> Pieces { get; private set; }

    /// <summary>A whole text in one piece. Half surrogate pairs become U+FFFD.</summary>
    public static AlignedText Of(string text)
    {
        var codes = ToCodePoints(text);
        var starts = new int[codes.Length];
        var ends = new int[codes.Length];
        for (var i = 0; i < codes.Length; i++)
        {
            starts[i] = i;
            ends[i] = i + 1;
        }

        return new AlignedText(codes, starts, ends, codes.Length, 0);
    }

    /// <summary>A text's code points; half surrogate pairs become U+FFFD.</summary>
    public static int[] ToCodePoints(string text)
    {
        var codes = new int[text.Length];
        var count = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            codes[count++] = rune.Value;
        }

        return count == codes.Length ? codes : codes[..count];
    }

    /// <summary>Code points as a string.</summary>
    public static string ToText(ReadOnlySpan<int> codes)
    {
        var builder = new StringBuilder(codes.Length);
        foreach (var code in codes)
        {
            if (code < 0x10000)
            {
                builder.Append((char)code);
            }
            else
            {
                builder.Append(char.ConvertFromUtf32(code));
            }
        }

        return builder.ToString();
    }

    /// <summary>A part as a text of its own, in one piece.</summary>
    public AlignedText Slice(int from, int to) => new(
        Codes[from..to],
        Starts[from..to],
        Ends[from..to],
        to - from,
        from == 0 ? OriginalStart : Starts[from]);

    /// <summary>Where a piece begins in the original.</summary>
    public int OriginalStartOf((int From, int To) piece) => piece.From == 0 ? OriginalStart : Starts[piece.From];

    /// <summary>Cuts every piece where a pattern matches.</summary>
    public void Cut(TextPattern pattern, SplitBehavior behavior, bool invert)
    {
        var pieces = new List<(int From, int To)>(Math.Max(Pieces.Count, Count / 4));
        var parts = new List<PatternPart>();
        foreach (var (from, to) in Pieces)
        {
            parts.Clear();
            pattern.Partition(Codes.AsSpan(from, to - from), parts);
            behavior.Join(parts, invert, from, pieces);
        }

        Pieces = pieces;
    }

    /// <summary>Cuts every piece at places that a rule finds.</summary>
    /// <param name="findStarts">Given a piece's code points, adds the places where a new piece starts, in order; what stands before the first is dropped.</param>
    public void CutAt(Action<ReadOnlySpan<int>, List<int>> findStarts)
    {
        var pieces = new List<(int From, int To)>(Pieces.Count);
        var starts = new List<int>();
        foreach (var (from, to) in Pieces)
        {
            starts.Clear();
            findStarts(Codes.AsSpan(from, to - from), starts);
            for (var i = 0; i < starts.Count; i++)
            {
                pieces.Add((from + starts[i], i + 1 < starts.Count ? from + starts[i + 1] : to));
            }
        }

        Pieces = pieces;
    }

    /// <summary>Rewrites every piece; a piece that becomes empty is dropped.</summary>
    public void Rewrite(Action<AlignedText, (int From, int To), Writer> rewrite)
    {
        var writer = new Writer(this, Count + (2 * Pieces.Count));
        var pieces = new List<(int From, int To)>(Pieces.Count);
        foreach (var piece in Pieces)
        {
            var from = writer.Count;
            rewrite(this, piece, writer);
            if (writer.Count > from)
            {
                pieces.Add((from, writer.Count));
            }
        }

        (Codes, Starts, Ends, Count) = (writer.Codes, writer.Starts, writer.Ends, writer.Count);
        Pieces = pieces;
    }

    /// <summary>Collects the code points of a rewritten text.</summary>
    public sealed class Writer
    {
        private readonly AlignedText _source;

        public Writer(AlignedText source, int capacity)
        {
            _source = source;
            Codes = new int[Math.Max(capacity, 16)];
            Starts = new int[Codes.Length];
            Ends = new int[Codes.Length];
        }

        public int[] Codes { get; private set; }

        public int[] Starts { get; private set; }

        public int[] Ends { get; private set; }

        public int Count { get; private set; }

        /// <summary>Adds a code point with the span of the source's code point <paramref name="at"/>; before the first: 0, 0.</summary>
        public void Add(int code, int at)
        {
            if (Count == Codes.Length)
            {
                var room = Count * 2;
                var (codes, starts, ends) = (Codes, Starts, Ends);
                Array.Resize(ref codes, room);
                Array.Resize(ref starts, room);
                Array.Resize(ref ends, room);
                (Codes, Starts, Ends) = (codes, starts, ends);
            }

            Codes[Count] = code;
            Starts[Count] = at < 0 ? 0 : _source.Starts[at];
            Ends[Count] = at < 0 ? 0 : _source.Ends[at];
            Count++;
        }
    }
}
