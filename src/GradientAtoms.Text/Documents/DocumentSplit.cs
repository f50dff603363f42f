using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace GradientAtoms.Text.Documents;

/// <summary>Documents kept out of the learning, and the others. A document's side depends on its id and the seed alone.</summary>
/// <param name="Learning">In the order given.</param>
/// <param name="HeldOut">In the order given.</param>
public sealed record DocumentSplit(IReadOnlyList<Document> Learning, IReadOnlyList<Document> HeldOut)
{
    /// <summary>Splits by a hash of seed and id, so that adding rows moves no other.</summary>
    /// <param name="documents">The documents.</param>
    /// <param name="share">Of the documents, about how many are held out: 0 to 1, 1 not included.</param>
    /// <param name="seed">Another seed holds out others.</param>
    public static DocumentSplit Make(IReadOnlyList<Document> documents, double share, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(documents);
        var sides = documents.ToLookup(document => IsHeldOut(document.Id, share, seed));
        return new([.. sides[false]], [.. sides[true]]);
    }

    /// <summary>True where the document of this id is held out.</summary>
    /// <param name="id">The document's id.</param>
    /// <param name="share">0 to 1, 1 not included.</param>
    /// <param name="seed">As in <see cref="Make"/>.</param>
    public static bool IsHeldOut(string id, double share, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(id);
        if (!(share is >= 0 and < 1))
        {
            throw new ArgumentOutOfRangeException(nameof(share), share, "the held-out share is at least 0 and less than 1");
        }

        var key = new byte[8 + Encoding.UTF8.GetByteCount(id)];
        BinaryPrimitives.WriteUInt64LittleEndian(key, seed);
        Encoding.UTF8.GetBytes(id, key.AsSpan(8));
        var hash = BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(key));
        return (hash >> 11) * (1.0 / (1UL << 53)) < share; // 53 bits: a uniform number in [0, 1)
    }
}
