using System.Buffers.Binary;

namespace GradientAtoms.Text.Tokenization;

/// <summary>The fields of a protobuf message, one after the other. Nothing is copied and nothing is trusted.</summary>
/// <param name="message">The message's bytes.</param>
/// <param name="location">How errors name it.</param>
internal ref struct ProtobufFields(ReadOnlySpan<byte> message, string location)
{
    private const string Remedy = "Take the file from the model's origin again.";

    private ReadOnlySpan<byte> _rest = message;

    /// <summary>The number of the field that <see cref="Next"/> found.</summary>
    public int Number { get; private set; }

    /// <summary>Its value where it is a whole number (also a flag or an enumeration).</summary>
    public long Whole { get; private set; }

    /// <summary>Its value where it is a float.</summary>
    public float Real { get; private set; }

    /// <summary>Its bytes where it is a text, a message or bytes.</summary>
    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>How the field was written: 0 whole number, 1 eight bytes, 2 with a length, 5 four bytes.</summary>
    public int Wire { get; private set; }

    /// <summary>Goes to the next field; false at the end.</summary>
    public bool Next()
    {
        if (_rest.IsEmpty)
        {
            return false;
        }

        var key = Varint();
        (Number, Wire) = ((int)(key >> 3), (int)(key & 7));
        if (key >> 3 is 0 or > 0x1FFFFFFF)
        {
            throw Bad($"found a field with the number {key >> 3}");
        }

        (Whole, Real) = (0, 0);
        Bytes = default;
        switch (Wire)
        {
            case 0:
                Whole = unchecked((long)Varint());
                break;
            case 1:
                Take(8);
                break;
            case 2:
                var length = Varint();
                Bytes = length <= (ulong)_rest.Length ? Take((int)length) : throw Bad($"found a field of {length} bytes where {_rest.Length} are left");
                break;
            case 5:
                Real = BinaryPrimitives.ReadSingleLittleEndian(Take(4));
                break;
            default:
                throw Bad($"found the wire type {Wire}");
        }

        return true;
    }

    /// <summary>The field's bytes as a message or text; an error where it was written as something else.</summary>
    public readonly ReadOnlySpan<byte> NeedBytes() => Wire == 2 ? Bytes : throw Bad($"found a number as field {Number}");

    /// <summary>The error for what is no such message.</summary>
    public readonly TokenizerException Bad(string problem) => new("GA2111", location, $"is no sentencepiece model: {problem}", Remedy);

    private ulong Varint()
    {
        ulong value = 0;
        for (var shift = 0; shift < 70; shift += 7)
        {
            var next = Take(1)[0];
            value |= shift < 64 ? (ulong)(next & 0x7F) << shift : 0;
            if (next < 0x80)
            {
                return value;
            }
        }

        throw Bad("found a number of more than ten bytes");
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _rest.Length)
        {
            throw Bad("it ends in the middle of a field");
        }

        var taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
