using System.Globalization;

namespace GradientAtoms.Text.Tokenization;

/// <summary>Cuts where the script changes; Han, Hiragana and Katakana count as one, a blank belongs to any.</summary>
internal sealed class ScriptPreTokenizer : PreTokenizer
{
    private const int Any = -1;

    private static readonly Lazy<Table> Scripts = new(Read);

    /// <inheritdoc/>
    public override void Apply(AlignedText text)
    {
        var table = Scripts.Value;
        text.CutAt((codes, starts) =>
        {
            // The library's own rule: what has no script is passed over, and is lost where nothing stands before it.
            int? last = null;
            for (var i = 0; i < codes.Length; i++)
            {
                var script = table.Of(codes[i]);
                if (script == Any)
                {
                    continue;
                }

                if (last != script)
                {
                    starts.Add(i);
                }

                last = script;
            }
        });
    }

    private static Table Read()
    {
        using var stream = typeof(ScriptPreTokenizer).Assembly.GetManifestResourceStream("UnicodeScripts.txt")
            ?? throw new InvalidOperationException("the assembly lacks its resource UnicodeScripts.txt");
        using var reader = new StreamReader(stream);
        var starts = new List<int>();
        var scripts = new List<int>();
        var names = new Dictionary<string, int>(StringComparer.Ordinal) { ["Unknown"] = Any };
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith('#'))
            {
                continue;
            }

            var blank = line.IndexOf(' ', StringComparison.Ordinal);
            var name = line[(blank + 1)..] is var script and not ("Hiragana" or "Katakana") ? script : "Han";
            names.TryAdd(name, names.Count);
            starts.Add(int.Parse(line.AsSpan(0, blank), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
            scripts.Add(names[name]);
        }

        return new Table([.. starts], [.. scripts], names["Han"]);
    }

    private sealed class Table(int[] starts, int[] scripts, int han)
    {
        public int Of(int code)
        {
            if (code == ' ')
            {
                return Any;
            }

            if (code == 0x30FC)
            {
                return han; // the mark of a long vowel stands in Hiragana and Katakana alike
            }

            var at = Array.BinarySearch(starts, code);
            return scripts[at >= 0 ? at : ~at - 1];
        }
    }
}
