using System.Runtime.InteropServices;

namespace GradientAtoms.Text.Tokenization;

/// <summary>The pieces of a vocabulary by their code points: finds all that a text continues with.</summary>
internal sealed class PieceTrie
{
    private readonly Dictionary<long, int> _next = [];
    private readonly List<int> _ids = [-1];

    /// <summary>Adds a piece; one that is there already gets the new id.</summary>
    public void Add(string piece, int id)
    {
        var node = 0;
        foreach (var rune in piece.EnumerateRunes())
        {
            ref var next = ref CollectionsMarshal.GetValueRefOrAddDefault(_next, Key(node, rune.Value), out var exists);
            if (!exists)
            {
                next = _ids.Count;
                _ids.Add(-1);
            }

            node = next;
        }

        _ids[node] = id;
    }

    /// <summary>One step down: the node for one more code point, or -1. The root is 0.</summary>
    public int Next(int node, int code) => _next.TryGetValue(Key(node, code), out var next) ? next : -1;

    /// <summary>The id of the piece that ends at a node, or -1.</summary>
    public int IdAt(int node) => _ids[node];

    private static long Key(int node, int code) => ((long)node << 32) | (uint)code;
}
