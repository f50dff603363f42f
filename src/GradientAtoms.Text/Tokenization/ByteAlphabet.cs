namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// GPT-2's alphabet: each byte as a printable character. Bytes that are printable in Latin-1 stand for themselves, the
/// others for U+0100 and up in their order.
/// </summary>
internal static class ByteAlphabet
{
    private static readonly int[] ToCode = MakeToCode();
    private static readonly short[] ToByte = MakeToByte();

    /// <summary>A byte's character.</summary>
    public static int CodeOf(byte value) => ToCode[value];

    /// <summary>A character's byte, or -1.</summary>
    public static int ByteOf(int code) => (uint)code < (uint)ToByte.Length ? ToByte[code] : -1;

    private static int[] MakeToCode()
    {
        var codes = new int[256];
        var next = 0x100;
        for (var value = 0; value < 256; value++)
        {
            var printable = value is (>= 0x21 and <= 0x7E) or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            codes[value] = printable ? value : next++;
        }

        return codes;
    }

    private static short[] MakeToByte()
    {
        var bytes = new short[0x100 + 256];
        Array.Fill(bytes, (short)-1);
        for (var value = 0; value < 256; value++)
        {
            bytes[ToCode[value]] = (short)value;
        }

        return bytes;
    }
}
