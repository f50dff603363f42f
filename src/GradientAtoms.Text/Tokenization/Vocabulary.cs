namespace GradientAtoms.Text.Tokenization;

/// <summary>Tokens and their ids, of the model and of the added tokens together.</summary>
internal sealed class Vocabulary
{
    // A wild id in a damaged file must not ask for gigabytes; real vocabularies have few gaps.
    private const int AnyIdBelow = 1 << 20;

    private readonly Dictionary<string, int> _ids;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private string?[] _tokens;

    public Vocabulary(int expected)
    {
        _ids = new Dictionary<string, int>(expected, StringComparer.Ordinal);
        _lookup = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
        _tokens = new string?[Math.Max(expected, 16)];
    }

    /// <summary>The largest id + 1.</summary>
    public int Size { get; private set; }

    /// <summary>All tokens and ids.</summary>
    public IEnumerable<KeyValuePair<string, int>> Pairs => _ids;

    /// <summary>Adds a token; one that is there already under the same id is left as it is.</summary>
    public void Add(string token, int id, string location)
    {
        if (id < 0 || (id >= AnyIdBelow && id >= 4L * (_ids.Count + 1)))
        {
            throw Error(location, $"token \"{token}\" has the id {id}, which is out of range for {_ids.Count + 1} tokens");
        }

        if (_ids.TryGetValue(token, out var known) && known != id)
        {
            throw Error(location, $"token \"{token}\" has two ids, {known} and {id}");
        }

        if (id >= _tokens.Length)
        {
            Array.Resize(ref _tokens, Math.Max(id + 1, _tokens.Length + (_tokens.Length / 2)));
        }

        if (_tokens[id] is { } other && !string.Equals(other, token, StringComparison.Ordinal))
        {
            throw Error(location, $"id {id} has two tokens, \"{other}\" and \"{token}\"");
        }

        _ids[token] = id;
        _tokens[id] = token;
        Size = Math.Max(Size, id + 1);
    }

    /// <summary>A token's id.</summary>
    public bool TryGetId(ReadOnlySpan<char> token, out int id) => _lookup.TryGetValue(token, out id);

    /// <summary>An id's token, or null.</summary>
    public string? TokenOf(int id) => (uint)id < (uint)Size ? _tokens[id] : null;

    private static TokenizerException Error(string location, string problem) => new(
        "GA2106", location, problem, "Take the file from its origin again: a vocabulary gives each token one id.");
}
