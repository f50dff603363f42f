using System.Runtime.InteropServices;

namespace GradientAtoms.Text.Tokenization;

/// <summary>A token of an encoded text.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Start">Where it starts in the text, in Unicode code points (not UTF-16 units).</param>
/// <param name="End">
/// Where it ends, one past its last code point. Tokens that share the bytes of one character have the same span; a token
/// that the tokenizer added itself, like a bos, has the span 0, 0.
/// </param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct Token(int Id, int Start, int End);
