using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Tokenization;

/// <summary>What the Python library makes of 159 texts with nine tokenizers.</summary>
public sealed class TokenizerFixtureTests
{
    public static TheoryData<string> Tokenizers =>
    [
        "smollm2", "gpt2", "qwen3", "mistral-v1", "mistral-v3",
        "synth-ignore-merges", "synth-added-tokens", "synth-metaspace-always", "synth-split",
    ];

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Ids_are_those_of_the_tokenizers_library(string name) => TokenizerFixtures.AssertIds(TokenizerFixtures.Load(name), RecordsOf(name));

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Offsets_are_those_of_the_tokenizers_library(string name) => TokenizerFixtures.AssertOffsets(TokenizerFixtures.Load(name), RecordsOf(name));

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Decodings_are_those_of_the_tokenizers_library(string name) => TokenizerFixtures.AssertDecodings(TokenizerFixtures.Load(name), RecordsOf(name));

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Decoding_one_by_one_gives_the_whole_text_without_half_characters(string name)
    {
        var tokenizer = TokenizerFixtures.Load(name);
        TokenizerFixtures.AssertEqual(RecordsOf(name), OneByOne, record => record.Decoded);

        string OneByOne(FixtureRecord record)
        {
            var decoder = tokenizer.NewDecoder();
            var text = string.Concat(record.Ids.Select(id =>
            {
                var piece = decoder.Append(id);
                Assert.False(piece.EndsWith('\uFFFD'));
                return piece;
            }));
            return text + decoder.Flush();
        }
    }

    private static IReadOnlyList<FixtureRecord> RecordsOf(string name) => TokenizerFixtures.Records(Fixtures.Need($"tokenizers/{name}"));
}
