namespace GradientAtoms.Text.Documents;

/// <summary>One turn of a chat.</summary>
/// <param name="Role"><c>system</c>, <c>user</c>, <c>assistant</c> or another role that the chat template knows.</param>
/// <param name="Content">What was said.</param>
public sealed record ChatMessage(string Role, string Content)
{
    /// <summary>False where the row says that an assistant turn is not trained on (<c>"train": false</c> or <c>"weight": 0</c>).</summary>
    public bool Train { get; init; } = true;

    /// <summary>Every other key of the turn (tool calls, reasoning, a name), as the chat template gets it.</summary>
    public IReadOnlyDictionary<string, object?> Extra { get; init; } = new Dictionary<string, object?>(StringComparer.Ordinal);
}

/// <summary>One row of the data: a chat, or plain text.</summary>
/// <param name="Id">The row's <c>id</c> field, else its line number; unique in its file.</param>
/// <param name="Line">Where it stands in its file, from 1: the line, or the row of a JSON array.</param>
public sealed record Document(string Id, int Line)
{
    /// <summary>The turns of a chat; empty for plain text.</summary>
    public IReadOnlyList<ChatMessage> Messages { get; init; } = [];

    /// <summary>Tools that the row offers (its <c>tools</c> field, as parsed JSON), for the chat template; null where it offers none.</summary>
    public IReadOnlyList<object?>? Tools { get; init; }

    /// <summary>Where the row says that it comes from: its <c>source</c> field (also <c>dataset</c>, <c>data_source</c>, <c>subset</c>, and <c>source</c> or <c>dataset</c> in <c>metadata</c> or <c>meta</c>), else its file where there are several; null where nothing says.</summary>
    public string? Source { get; init; }

    /// <summary>Plain text, all of which is trained on; null for a chat.</summary>
    public string? Text { get; init; }

    /// <summary>The prompt as a reader would see it: every turn up to the first trained one.</summary>
    public string PromptText => string.Join("\n", Messages.TakeWhile(message => message.Role != "assistant").Select(message => message.Content));

    /// <summary>The answers as a reader would see them: every assistant turn, or the plain text.</summary>
    public string AnswerText => Text ?? string.Join("\n", Messages.Where(message => message.Role == "assistant").Select(message => message.Content));
}

/// <summary>A row that cannot be used.</summary>
/// <param name="File">The data file.</param>
/// <param name="Line">From 1.</param>
/// <param name="Reason">Why, in words for the user.</param>
public sealed record RejectedRow(string File, int Line, string Reason);

/// <summary>A tokenised document with its loss mask.</summary>
/// <param name="Id">The document's id.</param>
/// <param name="Line">Where it stands in its file, from 1.</param>
/// <param name="Tokens">Token ids, <c>[T]</c>.</param>
/// <param name="Trained"><c>[T]</c>: true where the token is part of the loss. The first token never is.</param>
/// <param name="TruncatedTokens">Tokens cut off at the end, 0 where the document fitted.</param>
public sealed record TokenizedDocument(string Id, int Line, int[] Tokens, bool[] Trained, int TruncatedTokens)
{
    /// <summary>Tokens that the loss sums over.</summary>
    public int TrainedCount { get; } = Trained.Count(trained => trained);
}
