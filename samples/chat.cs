#:project ../src/GradientAtoms.Runs/GradientAtoms.Runs.csproj
#:property PublishAot=false

// One prompt to a model of a run, from code, through IChatClient:
//     dotnet run samples/chat.cs -- RUN MODEL PROMPT
// MODEL is base, adapter, or a pole with a strength such as a1b2c3+@.1 (less of it: a1b2c3+@-.1).

using GradientAtoms;
using GradientAtoms.Runs.Answers;
using Microsoft.Extensions.AI;

if (args is not [var run, var model, var prompt])
{
    Console.Error.WriteLine("usage: dotnet run samples/chat.cs -- RUN MODEL PROMPT");
    return 2;
}

try
{
    using var client = RunChatClient.Open(run, model);
    await foreach (var update in client.GetStreamingResponseAsync(prompt, new() { Temperature = 0 }))
    {
        Console.Write(update.Text);
    }

    Console.WriteLine();
    return 0;
}
catch (GradientAtomsException error)
{
    Console.Error.WriteLine($"{error.Code} {error.Message}. {error.Remedy}");
    return 1;
}
