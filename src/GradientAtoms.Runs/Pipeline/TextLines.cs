using System.Collections;
using System.Text.Json;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>
/// The texts of a run's documents where they lie: read when they are asked for, one after another or one by its place, so that
/// a stage holds no more of them than it looks at.
/// </summary>
internal sealed class TextLines : IReadOnlyList<TextRow>
{
    private const byte LineEnd = (byte)'\n';
    private const int Chunk = 1 << 16;

    private readonly string _path;
    private readonly long[] _ends; // of each line, with its line end

    /// <summary>Finds the lines.</summary>
    /// <param name="path">A row a line, as JSON.</param>
    public TextLines(string path)
    {
        _path = path;
        var ends = new List<long>();
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, Chunk, FileOptions.SequentialScan);
        var buffer = new byte[Chunk];
        var before = 0L;
        for (int count; (count = stream.Read(buffer)) > 0; before += count)
        {
            for (var (at, found) = (0, 0); (found = buffer.AsSpan(at, count - at).IndexOf(LineEnd)) >= 0; )
            {
                at += found + 1;
                ends.Add(before + at);
            }
        }

        _ends = [.. ends];
    }

    /// <inheritdoc/>
    public int Count => _ends.Length;

    /// <inheritdoc/>
    public TextRow this[int index]
    {
        get
        {
            var start = index == 0 ? 0 : _ends[index - 1];
            var line = new byte[_ends[index] - start];
            using var handle = File.OpenHandle(_path);
            for (int done = 0, read; done < line.Length; done += read)
            {
                read = RandomAccess.Read(handle, line.AsSpan(done), start + done);
                if (read == 0)
                {
                    throw new EndOfStreamException($"{_path} has become shorter");
                }
            }

            return JsonSerializer.Deserialize<TextRow>(line, RunJson.Compact)!;
        }
    }

    /// <inheritdoc/>
    public IEnumerator<TextRow> GetEnumerator()
    {
        foreach (var line in File.ReadLines(_path))
        {
            yield return JsonSerializer.Deserialize<TextRow>(line, RunJson.Compact)!;
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>A list whose items are made of another's when they are asked for.</summary>
/// <param name="inner">The other.</param>
/// <param name="make">Makes an item.</param>
internal sealed class MappedList<TIn, TOut>(IReadOnlyList<TIn> inner, Func<TIn, TOut> make) : IReadOnlyList<TOut>
{
    /// <inheritdoc/>
    public int Count => inner.Count;

    /// <inheritdoc/>
    public TOut this[int index] => make(inner[index]);

    /// <inheritdoc/>
    public IEnumerator<TOut> GetEnumerator() => inner.Select(make).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
