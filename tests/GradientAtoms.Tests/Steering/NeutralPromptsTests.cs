using GradientAtoms.Steering;

namespace GradientAtoms.Tests.Steering;

public class NeutralPromptsTests
{
    [Fact]
    public void There_are_three_dozen_chats_and_texts_each_with_something_to_predict()
    {
        var documents = NeutralPrompts.Documents;

        Assert.Equal(36, documents.Count);
        Assert.Equal(36, documents.Select(document => document.Id).Distinct(StringComparer.Ordinal).Count());
        Assert.All(documents, document => Assert.True(document.AnswerText.Length > 40));
        Assert.Equal(26, documents.Count(document => document.Text is null && document.Messages is [{ Role: "user" }, { Role: "assistant" }]));
    }
}
