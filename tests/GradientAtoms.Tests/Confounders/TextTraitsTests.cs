using GradientAtoms.Confounders;

namespace GradientAtoms.Tests.Confounders;

public sealed class TextTraitsTests
{
    [Theory]
    [InlineData("{\"a\": [1, 2]}", "json")]
    [InlineData("{not json}", "one line")]
    [InlineData("Here:\n```python\nprint(1)\n```", "code")]
    [InlineData("int x = 1;\nreturn x;", "code")]
    [InlineData("| a | b |\n|---|---|\n| 1 | 2 |", "table")]
    [InlineData("Two things:\n- milk\n- bread", "bullets")]
    [InlineData("1. milk\n2. bread", "numbered list")]
    [InlineData("# Title\nA text of one line.", "headings")]
    [InlineData("-1,234.5", "number")]
    [InlineData("42%", "number")]
    [InlineData("Yes.", "one word")]
    [InlineData("Yes, of course.", "one line")]
    [InlineData("Roses are red,\nviolets are blue.", "lines")]
    [InlineData("First.\n\nSecond.", "paragraphs")]
    [InlineData(" \n", "empty")]
    public void The_form_of_an_answer_is_told(string text, string format) => Assert.Equal(format, TextTraits.Format(text));

    [Theory]
    [InlineData("The cat sat on the mat and looked at the door of the house.", "English")]
    [InlineData("Der Hund ist nicht im Haus, und die Katze schläft auf dem Sofa.", "German")]
    [InlineData("Le chat est dans la maison et les enfants ne sont pas là.", "French")]
    [InlineData("El perro no está en la casa y los niños duermen con su madre.", "Spanish")]
    [InlineData("Il gatto è nella casa con i bambini, ma non si muove più di una volta.", "Italian")]
    [InlineData("O cão não está em casa e as crianças dormem com uma manta no chão.", "Portuguese")]
    [InlineData("De hond is niet in het huis en de kat slaapt op een stoel bij het raam.", "Dutch")]
    [InlineData("Кошка спит на диване.", "Cyrillic")]
    [InlineData("猫はソファで寝ています。", "Japanese")]
    [InlineData("猫在沙发上睡觉。", "Chinese")]
    [InlineData("고양이가 잔다", "Korean")]
    [InlineData("42", null)]
    [InlineData("Paris", null)]
    public void A_language_is_told_by_script_and_frequent_words(string text, string? language) => Assert.Equal(language, TextTraits.Language(text));
}
