using System.Security.Cryptography;
using System.Text;

namespace GradientAtoms.Atoms;

/// <summary>
/// Ids of atoms, made from the documents that carry them: they do not change with an atom's rank, nor with the rounding of its
/// codes on another machine. They begin with a letter, so that no spreadsheet reads one as a number.
/// </summary>
internal static class AtomIds
{
    private const int ShortestHash = 5;

    /// <summary>An id for each atom, all different.</summary>
    /// <param name="carriers">Each atom's top documents, by id, with the sign of their codes.</param>
    public static IReadOnlyList<string> Of(IReadOnlyList<(string Document, int Sign)[]> carriers)
    {
        var hashes = new List<string>(carriers.Count);
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var carrier in carriers)
        {
            var content = string.Join('\n', carrier.Select(entry => $"{(entry.Sign > 0 ? '+' : '-')}{entry.Document}").Order(StringComparer.Ordinal));
            // Small atoms can have the same documents: then they are told apart by their order.
            var twins = seen[content] = seen.GetValueOrDefault(content) + 1;
            hashes.Add(Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(twins == 1 ? content : $"{content}\n#{twins}"))));
        }

        return [.. hashes.Select(hash =>
        {
            var length = ShortestHash;
            while (hashes.Count(other => other.AsSpan(0, length).SequenceEqual(hash.AsSpan(0, length))) > 1)
                length++;
            return "a" + hash[..length];
        })];
    }
}
