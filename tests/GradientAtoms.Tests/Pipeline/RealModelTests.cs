using GradientAtoms.Gradients;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Tests.Gradients;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Pipeline;

/// <summary>From a data file and a GGUF file to losses and gradients, against PyTorch in float32, one document at a time.</summary>
public sealed class RealModelTests
{
    private const int Count = 12;

    [Fact]
    public void The_first_documents_of_a_real_audit_have_the_losses_and_gradients_of_the_fixture()
    {
        using var scope = NewDisposeScope();
        using var expected = SafetensorsFile.Open(Fixtures.Need("smollm2-audit/expected.safetensors"));
        var options = new AuditOptions
        {
            Model = Fixtures.NeedShared("models/SmolLM2-135M-Instruct.Q4_1.gguf"),
            Data = Fixtures.NeedShared("data/instruct-5k.jsonl"),
            Adapter = Fixtures.NeedShared("models/smollm2-instruct-lora"),
            Out = "none",
            MaxTokens = 256,
        };
        using var model = new ModelFiles(options.Model);
        using var adapter = model.LoadAdapter(options.Adapter);
        var documents = model.ChatTokenizer(options).TokenizeAll(DocumentReader.Read(options.Data, new() { Limit = Count }).Documents, options.Data).Documents;
        long[] Whole(string name) => expected.ReadRaw(name).narrow(0, 0, Count).data<long>().ToArray();
        Assert.Equal(Whole("tokens"), documents.Select(document => (long)document.Tokens.Length));
        Assert.Equal(Whole("prompt_tokens"), documents.Select(document => (long)Array.IndexOf(document.Trained, true)));

        var source = new AdapterGradientSource(model.Loaded.Model, adapter);
        var (losses, rows) = (new double[Count], zeros(Count, source.Layout.Size));
        foreach (var batch in BatchPlan.Make([.. documents.Select(document => document.Tokens.Length)], options.BatchTokens, Count).Blocks.SelectMany(block => block))
        {
            source.Run(documents, batch, new AdapterGradientSourceTests.Sink(result =>
            {
                using var inner = NewDisposeScope();
                var gradients = result.Rows();
                for (var row = 0; row < batch.Count; row++)
                {
                    losses[batch[row]] = result.Losses[row];
                    rows[batch[row]] = gradients[row];
                }
            }));
        }

        foreach (var (want, got) in expected.ReadRaw("loss_sum").data<float>().Zip(losses))
        {
            Assert.Equal(want, got, 1e-4 * want);
        }

        var norms = rows.norm(1); // [12]
        foreach (var (want, got) in expected.ReadRaw("gradient_norm").data<float>().Zip(norms.data<float>()))
        {
            Assert.Equal(want, got, 1e-3f * want);
        }

        var unit = rows / norms.unsqueeze(1);
        AssertTensor.Close(expected.ReadRaw("raw_cosine").narrow(0, 0, Count).narrow(1, 0, Count), unit.matmul(unit.t()), relativeToMax: 0, absolute: 2e-3);
    }
}
